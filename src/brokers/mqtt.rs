//! MQTT 3.1.1, which devices speak. Each event is a message of quality of service 1; its id is in the payload. And the
//! other way: what devices send comes through an [`Inbox`].

use std::collections::VecDeque;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeReasonCode,
    TlsConfiguration, Transport,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::hold::Failure;
use super::link::{Broker, Connection};
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
        let mut options = self.options(&self.client_id).await?;
        let largest = message::MAX_BYTES + OVERHEAD;
        options.set_inflight(WINDOW).set_max_packet_size(largest, largest);
        let (client, events) = open(options, WINDOW.into()).await?;
        let (tell, heard) = mpsc::unbounded_channel();
        let listening = tokio::spawn(listen(events, tell));
        Ok(Session { client, heard, listening, prefix: self.topic_prefix.clone(), feed })
    }
}

impl Mqtt {
    /// What all connections to the broker have in common.
    async fn options(&self, client_id: &str) -> Result<MqttOptions, Failure> {
        let (host, port) = self.host_and_port().ok_or_else(|| Failure("mqtt.url names no host".to_owned()))?;
        let mut options = MqttOptions::new(client_id, host, port);
        options.set_keep_alive(PATIENCE);
        if let Some(username) = &self.username {
            options.set_credentials(username, self.password.as_ref().map_or("", |password| &password.0));
        }
        if self.is_encrypted() {
            let config = tls::client(self.ca.as_deref()).await?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::from(config)));
        }
        Ok(options)
    }
}

/// Connects. So many requests may wait to be sent at once.
async fn open(options: MqttOptions, requests: usize) -> Result<(AsyncClient, EventLoop), Failure> {
    let (client, mut events) = AsyncClient::new(options, requests);
    events.network_options.set_connection_timeout(PATIENCE.as_secs()).set_tcp_nodelay(true);
    polled(&mut events).await?;
    Ok((client, events))
}

/// What happens next, if it does in time. After a failure, nothing else may be asked of the connection.
async fn polled(events: &mut EventLoop) -> Result<Event, Failure> {
    let polled = timeout(PATIENCE, events.poll()).await;
    polled.map_err(|_| Failure("the broker does not answer".to_owned()))?.map_err(|error| failure(&error))
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

/// Messages that wait to be read, beyond which the connection is given up: the broker sends again what is not
/// acknowledged. Brokers have fewer on their way.
const READ_AHEAD: usize = 10_000;

/// The largest packet there is (MQTT 3.1.1, 2.2.3). A limit below the broker's own would have it send the message that
/// exceeds it again and again.
const LARGEST: usize = 268_435_455;

/// A subscription whose session outlasts the connection: what is sent meanwhile waits at the broker, and what is not
/// acknowledged comes again.
pub(super) struct Inbox {
    client: AsyncClient,
    waiting: mpsc::Receiver<Result<Publish, Failure>>,
    listening: JoinHandle<()>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Inbox {
    pub(super) async fn open(mqtt: &Mqtt, topics: &str) -> Result<Self, Failure> {
        let mut options = mqtt.options(&format!("{}-reports", mqtt.client_id)).await?;
        options.set_clean_session(false).set_manual_acks(true).set_max_packet_size(LARGEST, LARGEST);
        // For each message, its acknowledgement and an answer.
        let (client, mut events) = open(options, 2 * READ_AHEAD).await?;
        client.try_subscribe(topics, QoS::AtLeastOnce).map_err(|error| Failure::of(&error))?;
        let (tell, waiting) = mpsc::channel(READ_AHEAD);
        loop {
            match polled(&mut events).await? {
                // A session goes on before it hears of the subscription.
                Event::Incoming(Packet::Publish(publish)) => keep(&tell, Ok(publish))?,
                Event::Incoming(Packet::SubAck(ack)) if ack.return_codes == [SubscribeReasonCode::Failure] => {
                    return Err(Failure(format!("the broker does not let this server subscribe to {topics}")));
                }
                Event::Incoming(Packet::SubAck(_)) => break,
                _ => {}
            }
        }
        let listening = tokio::spawn(receive(events, tell));
        Ok(Self { client, waiting, listening })
    }

    /// The messages that are there, at most so many; waits for one.
    pub(super) async fn next(&mut self, most: usize) -> Result<Vec<Publish>, Failure> {
        let mut heard = Vec::new();
        self.waiting.recv_many(&mut heard, most).await;
        if heard.is_empty() {
            return Err(Failure("the connection was lost".to_owned()));
        }
        heard.into_iter().collect()
    }

    /// Has the broker forget a message. In the order in which they came (MQTT 3.1.1, 4.6).
    pub(super) fn acknowledge(&self, message: &Publish) -> Result<(), Failure> {
        self.client.try_ack(message).map_err(|error| Failure::of(&error))
    }

    /// Answers whoever listens.
    pub(super) fn tell(&self, topic: String, payload: Vec<u8>) -> Result<(), Failure> {
        self.client.try_publish(topic, QoS::AtMostOnce, false, payload).map_err(|error| Failure::of(&error))
    }
}

/// As [`listen`] does, and for the same reasons.
async fn receive(mut events: EventLoop, tell: mpsc::Sender<Result<Publish, Failure>>) {
    loop {
        let heard = match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => Ok(publish),
            Ok(_) => continue,
            Err(error) => Err(failure(&error)),
        };
        let is_over = heard.is_err();
        if keep(&tell, heard).is_err() || is_over {
            return;
        }
    }
}

fn keep(tell: &mpsc::Sender<Result<Publish, Failure>>, heard: Result<Publish, Failure>) -> Result<(), Failure> {
    tell.try_send(heard).map_err(|_| Failure("messages come faster than they can be read".to_owned()))
}
