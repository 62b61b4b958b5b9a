//! Reports in messages, as devices send them through a broker. Nobody waits for an answer, so it says which report it is to.

use serde_json::{Map, Value, json};

use super::model::report::{NewReport, Reported};
use super::take::is_of_a_change;
use super::{Error, Feeds};
use crate::access::Limit;
use crate::inventory::SERVER;
use crate::platform::audit::{self, Actor, Entry};
use crate::platform::batch::{Batch, BatchResult};
use crate::platform::command::Tries;
use crate::platform::extract;
use crate::platform::problem::Problem;
use crate::platform::schema::Schemas;

/// What was sent about one source: one report, or a batch of them as `POST /v1/feeds/{source}/stock` takes it.
pub struct Message {
    source: String,
    reports: Result<Batch<NewReport>, Problem>,
    /// Of each report, whatever it said as its `device` and `sequence`
    names: Vec<Map<String, Value>>,
}

/// What became of a message.
pub struct Answer {
    /// `{"results": […]}`, or the problem document of what could not be read
    pub body: Value,
    pub taken: usize,
    /// Reports, or 1 for a message that could not be read
    pub refused: usize,
}

impl Message {
    pub fn read(schemas: &Schemas, source: &str, payload: &[u8]) -> Self {
        let (mut names, source) = (Vec::new(), source.to_owned());
        let reports = extract::json(schemas, payload).and_then(|mut body| {
            if body.is_object() && body.get("items").is_none() {
                body = json!({"items": [body]});
            }
            names = body["items"].as_array().into_iter().flatten().map(names_of).collect();
            Batch::of(schemas, body)
        });
        Self { source, reports, names }
    }

    fn valid(&self) -> &[NewReport] {
        self.reports.as_ref().map_or(&[], Batch::valid)
    }

    /// Fails when an outcome is a failure of the server.
    fn answer(&self, outcomes: Vec<Result<Reported, Error>>) -> Result<Answer, Problem> {
        let batch = match &self.reports {
            Ok(batch) => batch,
            Err(problem) => return Ok(Answer::refusal(problem)),
        };
        let results = batch.answer_ok(outcomes)?.results;
        let taken = results.iter().filter(|result| result.body.is_some()).count();
        let refused = results.len() - taken;
        let named = self.names.iter().zip(&results).map(|(names, result)| {
            let BatchResult { status, body, problem } = result;
            let mut named = names.clone();
            named.insert("status".to_owned(), (*status).into());
            named.extend(body.clone().map(|body| ("body".to_owned(), body)));
            named.extend(problem.clone().map(|problem| ("problem".to_owned(), problem)));
            Value::Object(named)
        });
        Ok(Answer { body: json!({"results": named.collect::<Vec<_>>()}), taken, refused })
    }
}

fn names_of(report: &Value) -> Map<String, Value> {
    let named = ["device", "sequence"].into_iter().filter_map(|name| Some((name, report.get(name)?)));
    // Whoever sent something else would not know it again by that.
    let named = named.filter(|(_, value)| value.is_string() || value.is_number());
    named.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

impl Answer {
    fn refusal(problem: &Problem) -> Self {
        Self { body: problem.document(None), taken: 0, refused: 1 }
    }
}

impl Feeds {
    /// Takes messages about one source in one transaction; `topic` is where they came from, for the audit trail. What is
    /// refused is answered. Fails when the server fails: nothing is taken then, and they may be given again.
    pub async fn take(&self, messages: &[Message], topic: &str) -> Result<Vec<Answer>, Problem> {
        let mut tries = Tries::default();
        loop {
            let outcome = self.take_once(messages, topic).await;
            if tries.again(&outcome).await {
                continue;
            }
            return match outcome {
                // The source, which they have in common, is not there.
                Err(problem) if problem.status().is_client_error() => {
                    Ok(messages.iter().map(|_| Answer::refusal(&problem)).collect())
                }
                outcome => outcome,
            };
        }
    }

    async fn take_once(&self, messages: &[Message], topic: &str) -> Result<Vec<Answer>, Problem> {
        let Some(source) = messages.first().map(|message| &message.source) else { return Ok(Vec::new()) };
        let reports: Vec<NewReport> = messages.iter().flat_map(Message::valid).cloned().collect();
        let mut tx = self.db.begin().await?;
        let outcomes = self.report_in_tx(&mut tx, source, &reports, &Limit::default(), SERVER).await?;
        let changes = outcomes.iter().any(is_of_a_change);
        let mut outcomes = outcomes.into_iter();
        let answers =
            messages.iter().map(|message| message.answer(outcomes.by_ref().take(message.valid().len()).collect()));
        let answers: Vec<Answer> = answers.collect::<Result<_, _>>()?;
        if changes {
            let bodies: Vec<&Value> = answers.iter().map(|answer| &answer.body).collect();
            let mut entry = Entry::new(Actor::Broker("mqtt"), "MQTT feeds/{source}/stock");
            entry.path = Some(topic.to_owned());
            audit::record_in_tx(&mut tx, &entry.about(format!("/v1/feeds/{source}")).is(&bodies)).await?;
            tx.commit().await?;
        }
        Ok(answers)
    }
}
