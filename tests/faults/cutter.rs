//! A proxy that cuts connections after so many bytes of the request or of the answer. It knows nothing of HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::report::Result;

/// Where a connection is cut: when this much of the request went through, and then this much of the answer, or so
/// long after.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub request: usize,
    pub answer: usize,
    pub after: Duration,
}

pub struct Cutter {
    servers: Vec<SocketAddr>,
    next: AtomicUsize,
    answered: Arc<AtomicUsize>,
}

impl Cutter {
    pub async fn start(servers: Vec<SocketAddr>) -> Result<Self> {
        Ok(Self { servers, next: AtomicUsize::default(), answered: Arc::default() })
    }

    /// Takes one connection, to be cut like this; connect to this address.
    pub async fn expect(&self, cut: Cut) -> Result<SocketAddr> {
        let server = self.servers[self.next.fetch_add(1, Ordering::Relaxed) % self.servers.len()];
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answered = self.answered.clone();
        tokio::spawn(async move {
            // Whoever hangs up first, both sides are cut when this ends.
            if let Ok((client, _)) = listener.accept().await
                && let Ok(server) = TcpStream::connect(server).await
                && pass(client, server, cut).await.unwrap_or(0) > 0
            {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(address)
    }

    /// Of how many connections something of the answer was seen.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }
}

/// Lets through what is not cut; returns how much of the answer came.
async fn pass(mut client: TcpStream, mut server: TcpStream, cut: Cut) -> std::io::Result<usize> {
    copy(&mut client, &mut server, cut.request).await?;
    if cut.answer == 0 {
        // The server is at work, and its answer finds nobody.
        tokio::time::sleep(cut.after).await;
        return Ok(0);
    }
    tokio::time::timeout(cut.after, copy(&mut server, &mut client, cut.answer)).await.unwrap_or(Ok(0))
}

/// Copies so many bytes, or as many as there are.
async fn copy(from: &mut TcpStream, to: &mut TcpStream, most: usize) -> std::io::Result<usize> {
    let (mut buffer, mut copied) = (vec![0; 16 * 1024], 0);
    while copied < most {
        let room = buffer.len().min(most - copied);
        let read = from.read(&mut buffer[..room]).await?;
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read]).await?;
        copied += read;
    }
    Ok(copied)
}
