//! MQTT 3.1.1, which devices speak. Each event is a message of quality of service 1; its id is in the payload.

use std::collections::VecDeque;
use std::time::Duration;

use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::link::{Broker, Connection, Failure};
use super::settings::Mqtt;
use super::{address, message, tls};
use crate::events::PublishedEvent;

/// Within which the broker has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages that may wait for their acknowledgement at once.
const WINDOW: u16 = 100;

/// What a packet has beside the payload; a topic is far shorter.
const OVERHEAD: usize = 8 * 1024;

impl Broker for Mqtt {
    type Connection = Session;

    async fn connect(&self, feed: i64) -> Result<Session, Failure> {
        let (host, port) = self.host_and_port().ok_or_else(|| Failure("mqtt.url names no host".to_owned()))?;
        let mut options = MqttOptions::new(&self.client_id, host, port);
        let largest = message::MAX_BYTES + OVERHEAD;
        options.set_keep_alive(PATIENCE).set_inflight(WINDOW).set_max_packet_size(largest, largest);
        if let Some(username) = &self.username {
            options.set_credentials(username, self.password.as_ref().map_or("", |password| &password.0));
        }
        if self.is_encrypted() {
            let config = tls::client(self.ca.as_deref()).await?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::from(config)));
        }
        let (client, mut events) = AsyncClient::new(options, WINDOW.into());
        events.network_options.set_connection_timeout(PATIENCE.as_secs()).set_tcp_nodelay(true);
        timeout(PATIENCE, events.poll())
            .await
            .map_err(|_| Failure("the broker does not answer".to_owned()))?
            .map_err(|error| failure(&error))?;
        let (tell, heard) = mpsc::unbounded_channel();
        let listening = tokio::spawn(listen(events, tell));
        Ok(Session { client, heard, listening, prefix: self.topic_prefix.clone(), feed })
    }
}

/// What has become of a message or of the connection.
type Heard = Result<Acknowledged, Failure>;
struct Acknowledged;

/// Works for the connection until it is lost. In a task of its own, for a poll that is given up half-way may lose a packet;
/// and it ends at the first error, for the next poll would connect again by itself.
async fn listen(mut events: EventLoop, tell: mpsc::UnboundedSender<Heard>) {
    loop {
        let heard = match events.poll().await {
            Ok(Event::Incoming(Packet::PubAck(_))) => Ok(Acknowledged),
            Ok(_) => continue,
            Err(error) => Err(failure(&error)),
        };
        let is_over = heard.is_err();
        if tell.send(heard).is_err() || is_over {
            return;
        }
    }
}

fn failure(error: &ConnectionError) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code) => Failure(format!("the broker refused the connection: {code:?}")),
        error => Failure::of(error),
    }
}

pub(super) struct Session {
    client: AsyncClient,
    heard: mpsc::UnboundedReceiver<Heard>,
    listening: JoinHandle<()>,
    prefix: String,
    feed: i64,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Session {
    /// Waits for the next acknowledgement. They come in the order of the messages (MQTT 3.1.1, 4.6), so counting them
    /// suffices.
    async fn acknowledged(&mut self) -> Result<(), Failure> {
        match timeout(PATIENCE, self.heard.recv()).await {
            Ok(Some(heard)) => heard.map(|Acknowledged| ()),
            Ok(None) => Err(Failure("the connection was lost".to_owned())),
            Err(_) => Err(Failure("the broker does not acknowledge".to_owned())),
        }
    }
}

impl Connection for Session {
    async fn publish(&mut self, events: &[PublishedEvent]) -> (usize, Result<(), Failure>) {
        let mut waiting: VecDeque<&PublishedEvent> = events.iter().collect();
        let (mut sent, mut taken) = (0, 0);
        while taken < events.len() {
            if sent - taken < usize::from(WINDOW)
                && let Some(event) = waiting.pop_front()
            {
                let topic = address::mqtt_topic(&self.prefix, &event.r#type, &event.subject);
                let payload = message::payload(event, self.feed, message::MAX_BYTES);
                // There is room: no more are on their way than the window holds.
                if let Err(error) = self.client.try_publish(topic, QoS::AtLeastOnce, false, payload) {
                    return (taken, Err(Failure::of(&error)));
                }
                sent += 1;
            } else if let Err(failure) = self.acknowledged().await {
                return (taken, Err(failure));
            } else {
                taken += 1;
            }
        }
        (taken, Ok(()))
    }

    async fn lost(&mut self) -> Failure {
        loop {
            match self.heard.recv().await {
                Some(Ok(Acknowledged)) => {} // of a message that nobody waits for any more
                Some(Err(failure)) => return failure,
                None => return Failure("the connection was lost".to_owned()),
            }
        }
    }
}
