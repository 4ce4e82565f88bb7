//! The page, in a real browser.

use crate::{
    older_contract::{event, now_ms},
    server::Server,
};
use serde_json::json;
use std::process::Command;

#[test]
fn the_page_shows_what_the_index_holds() {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let is_there = |browser: &&&str| Command::new(browser).arg("--version").output().is_ok();
    let Some(browser) = browsers.iter().find(is_there) else {
        eprintln!("SKIPPED: the page in a browser: none of {browsers:?} is here");
        return;
    };
    let server = Server::new();
    let now = now_ms();
    let events =
        json!({ "events": [event("acme", "<b>shown-as-text</b>", 4096, now), event("acme", "other", 1, now)] });
    assert_eq!(server.client().post("/ingest", &events).status, 202);
    let profile = tempfile::tempdir().unwrap();
    let shown = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("{}/", server.url))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("as of "), "it has asked and been answered: {shown}");
    assert!(shown.contains("&lt;b&gt;shown-as-text&lt;/b&gt;") && !shown.contains("<b>shown"), "{shown}");
    assert!(shown.contains("<dt>Prefixes</dt><dd>2</dd>"), "{shown}");
}
