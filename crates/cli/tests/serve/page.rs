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
    // A plan whose horizon is over: one of its two prefixes came.
    let asked = json!({ "budget": "1MiB", "horizon": "1s", "policy": "most-recent", "now": now });
    let plan = server.client().post("/v1/plan", &asked).json();
    assert_eq!(plan["entries"].as_array().unwrap().len(), 2, "{plan}");
    let later = json!({ "events": [event("acme", "other", 1, now + 500), event("acme", "new", 1, now + 2_000)] });
    assert_eq!(server.client().post("/ingest", &later).status, 202);
    let shown = browse(browser, &server, &["--dump-dom"]);
    assert!(shown.contains("as of "), "it has asked and been answered: {shown}");
    assert!(shown.contains("&lt;b&gt;shown-as-text&lt;/b&gt;") && !shown.contains("<b>shown"), "{shown}");
    assert!(shown.contains("<dt>Prefixes</dt><dd>3</dd>"), "{shown}");
    let worth = "<td title=\"most-recent\" class=\"\">most-recent</td><td title=\"1\" class=\"n\">1</td><td title=\"1\" class=\"n\">1</td>";
    assert!(shown.contains(worth), "one used, one wasted: {shown}");
    let calibration = shown.split("id=\"promises\"").nth(1).unwrap();
    assert!(calibration.contains("most-recent") && calibration.contains("512.0 ms+"), "{calibration}");
    assert!(!shown.contains("id=\"calibration\" hidden"), "{shown}");
    // The picture of docs/http.md is made of the same page after an hour of traffic, by hand.
    let picture = server.dir.path().join("page.png");
    browse(browser, &server, &[&format!("--screenshot={}", picture.display()), "--window-size=1200,1500"]);
    assert!(std::fs::metadata(picture).unwrap().len() > 10_000, "it can be drawn");
}

fn browse(browser: &str, server: &Server, args: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let shown = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(args)
        .arg(format!("{}/", server.url))
        .output()
        .unwrap();
    String::from_utf8_lossy(&shown.stdout).into_owned()
}
