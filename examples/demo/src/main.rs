//! The main job, to click through: Meridian Bank on Chancery, two fintech apps, and the bank's API.
//!
//! Starts four listeners on this machine: the bank's sign-in pages and its admin listener, the apps,
//! the API. The server is the same code as `chancery serve`, on an SQLite file below `demo-data`;
//! what makes it a demonstration, the bank with its passwords and secrets, is here and not in the
//! server.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use chancery::{
    commands::{
        Failure, database,
        serve::{self, Listeners},
    },
    config::Settings,
    declare, listen, telemetry,
};
use tokio::net::TcpListener;

const ISSUER: &str = "http://localhost:8400";
const API: &str = "http://127.0.0.1:8403";
const BANK: &str = include_str!("../bank.toml");
const API_SECRET: &str = "demo-only-meridian-api-secret-41d8";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{}", failure.message);
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let settings = settings()?;
    telemetry::logs(&settings.log).map_err(Failure::new)?;
    let metrics = telemetry::metrics().map_err(Failure::new)?;
    let stop = listen::stop_on_signal().map_err(Failure::new)?;
    let store = database::open(&settings, true).await?;
    let service = serve::service(&settings, store).await?;
    serve::prepare(&service).await?;
    let ledgerline = Arc::new(fintech_app::Keys::draw().map_err(Failure::new)?);
    // As a fintech would: its public keys go to the bank, which registers them.
    std::fs::write("demo-data/ledgerline.jwks", ledgerline.jwks().to_string()).map_err(Failure::new)?;
    let bank = declare::parse(BANK, Path::new("demo-data/bank.toml"), |_| None).map_err(|faults| {
        Failure::new(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    service.declare(&bank).await.map_err(Failure::new)?.map_err(Failure::new)?;
    let listeners = Listeners::bind(&settings).await?;

    let api = TcpListener::bind("127.0.0.1:8403").await.map_err(Failure::new)?;
    let apps = TcpListener::bind("127.0.0.1:8402").await.map_err(Failure::new)?;
    let stopped = stop.clone();
    let api = tokio::spawn(bank_api::serve(api_config(), api, async move { stopped.cancelled().await }));
    let stopped = stop.clone();
    let apps =
        tokio::spawn(fintech_app::serve(
            apps_config(ledgerline)?,
            apps,
            async move { stopped.cancelled().await },
        ));
    io::stdout().write_all(WELCOME.as_bytes()).map_err(Failure::new)?;
    serve::serve(&settings, service, listeners, metrics, stop).await;
    apps.await.map_err(Failure::new)?.map_err(Failure::new)?;
    api.await.map_err(Failure::new)?.map_err(Failure::new)
}

fn settings() -> Result<Settings, Failure> {
    std::fs::create_dir_all("demo-data").map_err(Failure::new)?;
    let mut settings = Settings::new(ISSUER.parse().map_err(Failure::new)?);
    settings.database.url = Some("sqlite:demo-data/chancery.db".to_owned().into());
    settings.listen.public = "127.0.0.1:8400".parse().map_err(Failure::new)?;
    settings.listen.admin = "127.0.0.1:8401".parse().map_err(Failure::new)?;
    settings.pages.bank_name = "Meridian Bank".to_owned();
    settings.log.filter = "warn".to_owned();
    Ok(settings)
}

fn api_config() -> bank_api::Config {
    bank_api::Config {
        issuer: ISSUER.to_owned(),
        audience: API.to_owned(),
        introspection: Some(bank_api::IntrospectionCredentials {
            client_id: "meridian-api".to_owned(),
            client_secret: API_SECRET.to_owned(),
        }),
        clock: bank_api::Clock::default(),
    }
}

fn apps_config(ledgerline: Arc<fintech_app::Keys>) -> Result<fintech_app::Config, Failure> {
    Ok(fintech_app::Config {
        issuer: ISSUER.to_owned(),
        bank_name: "Meridian Bank".to_owned(),
        bank_account_url: Some(format!("{ISSUER}/account").parse().map_err(Failure::new)?),
        bank_api: API.parse().map_err(Failure::new)?,
        public_url: "http://127.0.0.1:8402".parse().map_err(Failure::new)?,
        brands: vec![fintech_app::Brand::ledgerline(ledgerline), fintech_app::Brand::pocketwise()],
    })
}

const WELCOME: &str = "
  Meridian Bank is open. This is a demonstration: everything below is public.

    Start here     http://127.0.0.1:8402            two fintech apps; connect your bank
    Your account   http://localhost:8400/account    sessions, connected apps, withdrawal

    Customers      alice / harbour-lantern-violet   sets up an authenticator app first
                   bob   / granite-teapot-orbit     signs in with a password alone

    Apps           ledgerline  FAPI 2.0             private_key_jwt, pushed requests, DPoP
                   pocketwise  public               PKCE only

    The bank       http://localhost:8400/.well-known/openid-configuration
    Its API        http://127.0.0.1:8403            introspects as meridian-api
                                                    secret demo-only-meridian-api-secret-41d8
    Admin          http://127.0.0.1:8401/health/ready   and /metrics

  Everything is stored below ./demo-data; delete it to begin anew. Ctrl-C stops.

";
