//! Those who read what the brokers were given, and compare it with the feed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::harness::DEADLINE;

/// A message: where it was sent, and the event.
#[derive(Clone, Debug)]
pub struct Message {
    pub address: String,
    pub headers: BTreeMap<String, String>,
    pub event: Value,
}

/// All that the stream has, once it has that many.
pub async fn in_stream(url: &str, many: usize) -> Vec<Message> {
    let client = async_nats::connect(url).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let reading = async {
        let mut stream = loop {
            match jetstream.get_stream("STOCKHOLD").await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        while stream.info().await.unwrap().state.messages < many as u64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (deliver_policy, ack_policy) = (DeliverPolicy::All, AckPolicy::None);
        let config = pull::Config { deliver_policy, ack_policy, ..pull::Config::default() };
        let all = usize::try_from(stream.info().await.unwrap().state.messages).unwrap();
        let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
        messages.take(all).map(|message| of_nats(&message.unwrap())).collect::<Vec<_>>().await
    };
    let in_time = tokio::time::timeout(DEADLINE, reading).await;
    let found = match jetstream.get_stream("STOCKHOLD").await {
        Ok(mut stream) => stream.info().await.unwrap().state.messages,
        Err(_) => 0,
    };
    in_time.unwrap_or_else(|_| panic!("the stream has {found} of {many} events"))
}

fn of_nats(message: &async_nats::jetstream::Message) -> Message {
    let headers = message.headers.iter().flat_map(async_nats::HeaderMap::iter);
    let headers = headers.map(|(name, values)| (name.to_string(), values[0].to_string())).collect();
    Message { address: message.subject.to_string(), headers, event: serde_json::from_slice(&message.payload).unwrap() }
}

/// A device with a session that outlasts its connection.
pub struct Device {
    client: AsyncClient,
    heard: Arc<Mutex<Vec<Message>>>,
    listening: JoinHandle<()>,
}

impl Device {
    pub async fn subscribed(options: MqttOptions) -> Self {
        Self::subscribed_to("stockhold/#", options).await
    }

    async fn subscribed_to(topics: &'static str, mut options: MqttOptions) -> Self {
        options.set_clean_session(false).set_keep_alive(Duration::from_secs(5)).set_max_packet_size(1 << 22, 1 << 22);
        let (client, mut events) = AsyncClient::new(options, 10);
        let device = client.clone();
        let heard: Arc<Mutex<Vec<Message>>> = Arc::default();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        let all = heard.clone();
        let listening = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(ack))) if !ack.session_present => {
                        client.subscribe(topics, QoS::AtLeastOnce).await.unwrap();
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => ready.take().map_or((), |ready| ready.send(()).unwrap()),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let event = serde_json::from_slice(&publish.payload).unwrap();
                        let message = Message { address: publish.topic, headers: BTreeMap::new(), event };
                        all.lock().unwrap().push(message);
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        tokio::time::timeout(DEADLINE, is_ready).await.expect("the broker answers").unwrap();
        Self { client: device, heard, listening }
    }

    pub async fn at(port: u16) -> Self {
        Self::subscribed(MqttOptions::new("device", "127.0.0.1", port)).await
    }

    /// One that reports, and hears what it is answered.
    pub async fn that_reports(name: &str, port: u16) -> Self {
        Self::subscribed_to("stockhold/feeds/+/stock/answers", MqttOptions::new(name, "127.0.0.1", port)).await
    }

    pub async fn report(&self, source: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(format!("stockhold/feeds/{source}/stock"), QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    /// What it was answered, once that is so many.
    pub async fn answers(&self, many: usize) -> Vec<Message> {
        let waiting = async {
            while self.heard.lock().unwrap().len() < many {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(in_time.is_ok(), "{} of {many} answers came", self.heard.lock().unwrap().len());
        self.heard.lock().unwrap().clone()
    }

    /// All that it heard, once that is so many different events.
    pub async fn heard(&self, many: usize) -> Vec<Message> {
        let waiting = async {
            while ids(&self.heard.lock().unwrap()).len() < many {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(in_time.is_ok(), "{} of {many} events came", ids(&self.heard.lock().unwrap()).len());
        tokio::time::sleep(Duration::from_millis(300)).await; // whatever comes doubled comes now
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

pub fn ids(messages: &[Message]) -> BTreeSet<&str> {
    messages.iter().map(|message| message.event["id"].as_str().unwrap()).collect()
}

/// Nothing is lost: what is left without doubles is the feed, in its order for each subject. Says how many were doubles.
pub fn assert_is_feed(who: &str, messages: &[Message], feed: &[Value]) -> usize {
    let mut seen = BTreeSet::new();
    let once: Vec<&Value> =
        messages.iter().map(|m| &m.event).filter(|event| seen.insert(event["id"].as_str().unwrap())).collect();
    let wanted: BTreeSet<&str> = feed.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(seen.symmetric_difference(&wanted).count(), 0, "{who}: events were lost, or are not of the feed");
    let by_subject = |events: &[&Value]| {
        let mut subjects: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for event in events {
            subjects.entry(event["subject"].to_string()).or_default().push((*event).clone());
        }
        subjects
    };
    let feed: Vec<&Value> = feed.iter().collect();
    assert_eq!(by_subject(&once), by_subject(&feed), "{who}: a subject's events are out of order");
    messages.len() - once.len()
}
