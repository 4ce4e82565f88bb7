//! The services that tests talk to: found or installed (into `target/services`), started on free ports of the loopback interface,
//! stopped by their process ids.
//!
//! A test that needs one is ignored by a plain `cargo test` and lives in a test binary of the service's, so that it can be
//! left out, and counted as skipped, where the service cannot be had. A new service is a line in [`SERVICES`].

use crate::{process, root};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A service, and which tests need it.
pub(crate) struct Service {
    name: &'static str,
    pub(crate) test_binary: &'static str,
    start: fn(&mut Started) -> Result<()>,
}

const SERVICES: &[Service] = &[
    Service { name: "redis-server", test_binary: "needs_redis", start: redis },
    Service { name: "moto", test_binary: "needs_moto", start: moto },
    Service { name: "Azurite", test_binary: "needs_azurite", start: azurite },
];

/// How long a service may take until it answers: a busy machine, a cold disk.
const START: Duration = Duration::from_secs(90);

/// What runs, until this is dropped.
#[derive(Default)]
pub(crate) struct Started {
    processes: Vec<Child>,
    /// What the tests need to know.
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) there: Vec<&'static Service>,
    /// What could not be had, and why.
    pub(crate) missing: Vec<(&'static Service, String)>,
}

/// Starts every service that can be had.
pub(crate) fn start() -> Started {
    let mut started = Started::default();
    for service in SERVICES {
        match (service.start)(&mut started) {
            Ok(()) => started.there.push(service),
            Err(error) => started.missing.push((service, format!("{error:#}"))),
        }
    }
    started
}

impl Started {
    /// Says loudly what was left out.
    pub(crate) fn report(&self) {
        for (service, why) in &self.missing {
            eprintln!("SKIPPED: the tests in {} ({}), because: {why}", service.test_binary, service.name);
        }
    }

    /// Starts a program that listens on this port, and waits until it does.
    fn listen(&mut self, mut command: Command, port: u16) -> Result<()> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = directory(".")?.join(format!("{port}.log"));
        let output = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.processes.push(command.spawn().with_context(|| format!("cannot run {name}"))?);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.processes.last_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || began.elapsed() > START {
                bail!("{name} does not listen; see {}", log.display());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// The tests start and stop servers of their own, so this one only has to be there.
fn redis(_: &mut Started) -> Result<()> {
    let version = || process::program("redis-server", "--version");
    if process::is_there(version()?) {
        return Ok(());
    }
    let is_root = process::program("id", "-u")?.output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if !is_root || !process::is_there(process::program("apt-get", "--version")?) {
        bail!("redis-server is not installed, and only root can (apt-get install redis-server)");
    }
    process::run(process::program("apt-get", "update -q")?)?;
    process::run(process::program("apt-get", "install -q -y --no-install-recommends redis-server")?)?;
    if process::is_there(version()?) { Ok(()) } else { bail!("redis-server was installed and does not run") }
}

/// S3 and the requests of Google's client, from PyPI in an environment of its own.
fn moto(started: &mut Started) -> Result<()> {
    let home = directory("moto")?;
    let server = home.join("bin/moto_server");
    if !server.exists() {
        let venv = format!("-m venv {}", home.display());
        process::run(process::program("python3", &venv)?).context("moto needs python3 with venv")?;
        let pip = home.join("bin/pip");
        let install = "install --quiet --disable-pip-version-check moto[server,s3]==5.*";
        process::run(process::program(&pip.to_string_lossy(), install)?)?;
    }
    let port = free_port()?;
    let command = process::program(&server.to_string_lossy(), &format!("-H 127.0.0.1 -p {port}"))?;
    started.listen(command, port)?;
    // No cloud: moto takes any credentials, but the clients want some.
    started.environment.extend([
        ("TEST_MOTO", format!("127.0.0.1:{port}")),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("GOOGLE_BEARER_TOKEN", "test".to_owned()),
    ]);
    Ok(())
}

/// The key that every Azurite has, as its documentation prints it.
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Azure Blob Storage, from npm.
fn azurite(started: &mut Started) -> Result<()> {
    let home = directory("azurite")?;
    let server = home.join("node_modules/.bin/azurite-blob");
    if !server.exists() {
        let install = format!("install --silent --no-audit --no-fund --prefix {} azurite@3", home.display());
        process::run(process::program("npm", &install)?).context("Azurite needs npm")?;
    }
    let port = free_port()?;
    let arguments = format!(
        "--silent --inMemoryPersistence --skipApiVersionCheck --disableTelemetry --blobHost 127.0.0.1 --blobPort {port}"
    );
    started.listen(process::program(&server.to_string_lossy(), &arguments)?, port)?;
    started
        .environment
        .extend([("TEST_AZURITE", format!("127.0.0.1:{port}")), ("AZURE_STORAGE_ACCOUNT_KEY", AZURITE_KEY.to_owned())]);
    Ok(())
}

fn directory(name: &str) -> Result<PathBuf> {
    let path = root()?.join("target/services").join(name);
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).context("no free port")?.local_addr()?.port())
}
