//! Starting the command on a free port, and ending it.

use crate::client::Client;
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};
use tempfile::TempDir;

/// A running `prefix-indexer serve`; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    /// Its index, and what else lies beside it.
    pub(crate) dir: TempDir,
    log: mpsc::Receiver<String>,
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prefix-indexer"));
    command.env("NO_COLOR", "1").env_remove("PREFIX_INDEXER_SERVER_LISTEN").env_remove("PREFIX_INDEXER_INDEX_DATA");
    command
}

impl Server {
    /// An empty index behind the defaults.
    pub(crate) fn new() -> Server {
        Server::with("", &[])
    }

    /// A configuration's `[server]` section, and further arguments.
    pub(crate) fn with(section: &str, args: &[&str]) -> Server {
        Server::over(tempfile::tempdir().unwrap(), section, args)
    }

    /// As [`with`](Self::with), in a directory that may hold an index and files that the section names.
    pub(crate) fn over(dir: TempDir, section: &str, args: &[&str]) -> Server {
        std::fs::write(dir.path().join("config.toml"), format!("[server]\n{section}\n")).unwrap();
        let mut child = command()
            .args(["serve", "--listen", "127.0.0.1:0", "--config", "config.toml", "--data", "index"])
            .args(args)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut said = Vec::new();
        let url = loop {
            match log.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => match line.strip_prefix("listening on ") {
                    Some(url) => break url.to_owned(),
                    None => said.push(line),
                },
                Err(error) => panic!("it does not listen ({error}); it said {said:?}"),
            }
        };
        let address = url.split("//").nth(1).unwrap().parse().unwrap();
        Server { child, address, url, dir, log }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Asks it to end, as a service manager does, and waits until it has; what it said since it listens.
    pub(crate) fn terminate(mut self) -> (bool, Vec<String>, TempDir) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        let ended = self.child.wait().unwrap().success();
        let said = self.log.iter().collect();
        (ended, said, std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap()))
    }

    /// Ends it without warning.
    pub(crate) fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs the command to its end beside an index.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    command().args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap()
}
