//! What devices report over MQTT, brought to `feeds`.
//!
//! A message is acknowledged when its reports are committed, so whatever ends in between has it come again; `feeds` takes
//! a report once. Messages that are refused are acknowledged as well, and answered: sent again, they would be refused
//! again.

use std::convert::Infallible;
use std::sync::Arc;

use rumqttc::Publish;

use super::address;
use super::hold::{Failure, Hold, Paused, Work};
use super::mqtt::Inbox;
use super::settings::Mqtt;
use crate::feeds::{Feeds, Message};
use crate::platform::schema::Schemas;

/// Messages that one transaction takes, each with up to as many reports as a batch has.
const AT_ONCE: usize = 20;

pub(super) struct Reports {
    pub hold: Hold,
    pub mqtt: Mqtt,
    pub feeds: Feeds,
    pub schemas: Arc<Schemas>,
}

impl Work for Reports {
    fn hold(&self) -> &Hold {
        &self.hold
    }

    /// How far it is, the broker knows.
    async fn beginning(&self) -> sqlx::Result<i64> {
        Ok(0)
    }

    async fn connect_and_work(&self, failures: &mut u32) -> Result<Infallible, Paused> {
        let topics = address::reports_topic(&self.mqtt.topic_prefix, "+");
        let mut inbox = Inbox::open(&self.mqtt, &topics).await.map_err(Paused::Failed)?;
        self.hold.is_up().await?;
        loop {
            let messages = inbox.next(AT_ONCE).await.map_err(Paused::Failed)?;
            for of_one_source in messages.chunk_by(|a, b| a.topic == b.topic) {
                self.take(&inbox, of_one_source).await.map_err(Paused::Failed)?;
            }
            *failures = 0;
        }
    }

    async fn lag(&self) -> sqlx::Result<i64> {
        Ok(0)
    }
}

impl Reports {
    async fn take(&self, inbox: &Inbox, sent: &[Publish]) -> Result<(), Failure> {
        let topic = &sent[0].topic;
        let source = address::source_of(&self.mqtt.topic_prefix, topic).unwrap_or_default();
        let messages: Vec<Message> =
            sent.iter().map(|sent| Message::read(&self.schemas, source, &sent.payload)).collect();
        let answers = self.feeds.take(&messages, topic).await;
        let answers = answers.map_err(|problem| {
            problem.log();
            Failure(format!("reports cannot be taken now: {}", problem.kind().title))
        })?;
        for (sent, answer) in sent.iter().zip(answers) {
            inbox.acknowledge(sent)?;
            if answer.refused > 0 {
                tracing::warn!(%topic, refused = answer.refused, "reports were refused; the answer to them says why");
            }
            for (what, count) in [("taken", answer.taken), ("refused", answer.refused)] {
                metrics::counter!("stockhold_broker_reports_total", "outcome" => what).increment(count as u64);
            }
            inbox.tell(format!("{topic}/answers"), answer.body.to_string().into_bytes())?;
        }
        Ok(())
    }
}
