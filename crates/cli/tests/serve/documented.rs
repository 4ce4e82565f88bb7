//! Every example of docs/http.md, run as it stands.

use crate::server::Server;
use std::{path::Path, process::Command};

/// The code blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn run(server: &Server, program: &str, args: &[&str]) {
    let output =
        Command::new(program).args(args).current_dir(server.dir.path()).env("URL", &server.url).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        args.last().unwrap(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn is_there(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

fn text() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http.md")).unwrap()
}

#[test]
fn curl_examples_run() {
    if !is_there("curl", &["--version"]) || !is_there("bash", &["--version"]) {
        eprintln!("SKIPPED: the examples of docs/http.md for curl, which is not here");
        return;
    }
    let server = Server::new();
    let examples = blocks(&text(), "sh");
    assert_eq!(examples.len(), 7, "an example a section");
    examples.iter().for_each(|example| run(&server, "bash", &["-euo", "pipefail", "-c", example]));
}

#[test]
fn python_examples_run() {
    if !is_there("python3", &["-c", "import requests"]) {
        eprintln!("SKIPPED: the examples of docs/http.md for Python: python3 with requests is not here");
        return;
    }
    let server = Server::new();
    let examples = blocks(&text(), "python");
    assert_eq!(examples.len(), 7, "an example a section");
    let program = format!("import os, requests\nURL = os.environ[\"URL\"]\n{}", examples.concat());
    run(&server, "python3", &["-c", &program]);
}
