//! `schemathesis`: thousands of requests made up from the service's own description, right ones and wrong ones; none may be answered
//! with a 5xx, nor with a status that the description does not name.

use crate::{process, root, serving::Serving};
use anyhow::{Result, bail};
use std::process::Command;

/// What an answer is checked for.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let examples = match args {
        [] => "200",
        [option, examples] if option == "--examples" => examples,
        _ => bail!("schemathesis has one option: --examples 200"),
    };
    process::run(process::cargo("build -p prefix-indexer-cli")?)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root()?.join("target"), Into::into);
    let environment = target.join("schemathesis");
    if !environment.exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&environment);
        process::run(make)?;
    }
    let program = environment.join("bin/schemathesis");
    if !program.exists() {
        let mut install = Command::new(environment.join("bin/pip"));
        install.args(["install", "--quiet", "schemathesis==4.*"]);
        process::run(install)?;
    }
    let data = target.join("schemathesis-index");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let serving = Serving::start(&target.join("debug/prefix-indexer"), &data)?;
    let mut test = Command::new(program);
    test.arg("run").arg(format!("http://{}/openapi.json", serving.address()));
    test.args(["--checks", CHECKS, "--max-examples", examples, "--seed", "1", "--no-color"]).current_dir(&target);
    process::run(test)?;
    drop(serving);
    Ok(std::fs::remove_dir_all(&data)?)
}
