//! The real binary: a directory with its configuration, and the commands an operator would type.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{
    Browser, ClientAuth, NamedTempFile, Process, RelyingParty, TempDir, chancery_binary, free_port,
};

use crate::bank::Engine;

/// An installation of the binary: files, ports, environment. Nothing of the developer's machine leaks in.
pub struct Installation {
    /// The issuer.
    pub issuer: String,
    /// The admin listener.
    pub admin: String,
    /// The port of the public listener.
    pub port: u16,
    /// The certificate, in PEM; empty without TLS.
    pub certificate: String,
    directory: TempDir,
    environment: Vec<(String, String)>,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answered {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Installation {
    /// A developer's: plain http on loopback.
    pub fn plain(engine: Engine) -> Self {
        let new = Self::new(engine, "http", String::new());
        new.configure("");
        new
    }

    /// A bank's: built-in TLS, and every secret in a file of its own.
    pub fn tls(engine: Engine) -> Self {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let new = Self::new(engine, "https", pair.cert.pem());
        new.write("tls.crt", &new.certificate);
        new.write("tls.key", &pair.signing_key.serialize_pem());
        // 32 bytes in base64, with the line feed that `openssl rand -base64 32` ends with.
        new.write("key-encryption-key", "/HMsEGwgI69r1IoSmtHQ95nAsgBrQrYbU6v8Ou5x5ZA=\n");
        new.write("password-pepper", "Rq2FWVZYWa10i4GoqVib4CEa9ZFj1g7J/4eXmEVRNl8=\n");
        new.configure_tls("");
        new
    }

    /// Writes the configuration of a bank with TLS; `more` is appended.
    pub fn configure_tls(&self, more: &str) {
        self.configure(&format!(
            "[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n[secrets]\n\
             key_encryption_key_file = \"key-encryption-key\"\npassword_pepper_file = \"password-pepper\"\n{more}"
        ));
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn new(engine: Engine, scheme: &str, certificate: String) -> Self {
        let directory = testkit::tempdir().unwrap();
        let (port, admin) = (free_port(), free_port());
        let database = match engine {
            Engine::Sqlite => format!("sqlite://{}", directory.path().join("chancery.db").display()),
            Engine::Postgres => testkit::postgres::fresh_database(),
        };
        let new = Self {
            issuer: format!("{scheme}://localhost:{port}"),
            admin: format!("http://127.0.0.1:{admin}"),
            port,
            certificate,
            directory,
            environment: Vec::new(),
        };
        new.write("database-url", &format!("{database}\n"));
        new
    }

    /// Writes the configuration; `more` is appended.
    pub fn configure(&self, more: &str) {
        let Self { issuer, admin, port, .. } = self;
        let admin = admin.trim_start_matches("http://");
        let text = format!(
            "issuer = \"{issuer}\"\n[database]\nurl_file = \"database-url\"\n[listen]\npublic = \"127.0.0.1:{port}\"\n\
             admin = \"{admin}\"\n[second_factor]\npolicy = \"if-enrolled\"\n{more}"
        );
        self.write("chancery.toml", &text);
    }

    /// Writes a file beside the configuration.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Sets a variable for every command that follows.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.environment.push((variable.to_owned(), value.to_owned()));
    }

    /// The path of the configuration.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("chancery.toml")
    }

    /// A command of the binary, with this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.arg("--config").arg(self.config());
        command
    }

    /// A command of the binary without a configuration file.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(chancery_binary());
        let ours = |name: &str| name.starts_with("CHANCERY");
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.directory.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Answered {
        Answered::of(&mut self.command(arguments))
    }

    /// Makes the server agree with a description of a bank.
    pub fn apply(&self, bank: &str) {
        let file = self.write("bank.toml", bank);
        let migrated = self.run(&["migrate"]);
        assert_eq!(migrated.code, Some(0), "{}", migrated.stderr);
        let applied = self.run(&["apply", "--yes", "--file", file.to_str().unwrap()]);
        assert_eq!(applied.code, Some(0), "{}", applied.stderr);
    }

    /// Serves, and is ready.
    pub async fn serve(&self) -> Process {
        let process = Process::start("chancery serve", &mut self.command(&["serve", "--migrate"]));
        let process = process.ready(&format!("{}/health/ready", self.admin)).await;
        process.ready(&self.url("/.well-known/openid-configuration")).await
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// What actors trust.
    pub fn roots(&self) -> Vec<&str> {
        Some(self.certificate.as_str()).filter(|pem| !pem.is_empty()).into_iter().collect()
    }

    /// A browser that trusts the certificate.
    pub fn browser(&self) -> Browser {
        Browser::trusting(&self.roots())
    }

    /// The confidential client of `bank.toml`.
    pub fn web_app(&self) -> RelyingParty {
        let auth = ClientAuth::Basic("web-app-secret-0123456789abcd".to_owned());
        RelyingParty::trusting(&self.roots(), &self.issuer, "web-app", auth, "https://web.example/cb")
    }
}

impl Answered {
    /// Runs a command to its end, which must come within half a minute.
    pub fn of(command: &mut Command) -> Self {
        let (stdout, stderr) = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
        let output = |file: &NamedTempFile| Stdio::from(file.reopen().unwrap());
        let mut child =
            command.stdin(Stdio::null()).stdout(output(&stdout)).stderr(output(&stderr)).spawn().unwrap();
        let mut status = None;
        for _ in 0..1500 {
            status = child.try_wait().unwrap();
            if status.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = |file: &NamedTempFile| fs::read_to_string(file.path()).unwrap();
        let Some(status) = status else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} does not end; it says: {}{}", text(&stdout), text(&stderr));
        };
        Self { code: status.code(), stdout: text(&stdout), stderr: text(&stderr) }
    }

    /// Asserts an exit code, and that standard error says all of this.
    pub fn expect(&self, code: i32, said: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        for text in said {
            assert!(self.stderr.contains(text), "{text:?} is not in:\n{}", self.stderr);
        }
        self
    }
}

/// A path as a message shows it.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
