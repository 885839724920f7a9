//! `chancery health`: asks the admin listener, for containers that have no other client.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    cli::Common,
    commands::{Failure, answer::Answer, settings},
};

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks `/health/ready`.
///
/// # Errors
/// If the server is not ready, or not there.
pub async fn run(common: &Common) -> Result<Answer, Failure> {
    let mut address = settings(common)?.listen.admin;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    match timeout(PATIENCE, ask(address)).await {
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => {
            Ok(Answer::new("ready", serde_json::json!({ "ready": true })))
        }
        Ok(Ok(answer)) => Err(Failure::new(answer.lines().last().unwrap_or("no answer"))),
        Ok(Err(error)) => Err(Failure::new(format_args!("{address}: {error}"))),
        Err(_) => Err(Failure::new(format_args!("{address} does not answer"))),
    }
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
