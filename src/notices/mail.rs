//! Mails: a job each, so that none is lost while no server takes them.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error as SmtpError;
use lettre::{Address, AsyncTransport};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::settings::{Smtp, Transport};
use crate::platform::jobs::{Failure, NewJob, Running, Terms};

/// The kind of its job.
pub const KIND: &str = "mail";

/// Under way at once, of one server.
const AT_ONCE: usize = 4;

/// A mail to be sent. `about` names what it is of: of the same thing, it has the same `Message-ID`, whoever sends it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mail {
    pub about: String,
    pub to: String,
    pub subject: String,
    pub text: String,
}

impl Mail {
    pub fn job(&self) -> NewJob {
        NewJob::new(KIND, self)
    }

    fn message(&self, from: &Mailbox) -> Result<Message, String> {
        let to: Address = self.to.parse().map_err(|error| format!("'{}' is no address: {error}", self.to))?;
        let id = format!("<{}@{}>", self.about, from.email.domain());
        let builder = Message::builder().from(from.clone()).to(Mailbox::new(None, to)).subject(self.subject.clone());
        let builder = builder.message_id(Some(id)).header(ContentType::TEXT_PLAIN);
        builder.body(self.text.clone()).map_err(|error| error.to_string())
    }
}

/// Who gives mails to the server that takes them. What is wrong with the settings is seen at the start.
pub struct Mailer {
    smtp: Smtp,
    /// Made when it is first needed: it reads certificates.
    made: OnceCell<(Transport, Mailbox)>,
}

impl Mailer {
    pub fn new(smtp: Smtp) -> Self {
        Self { smtp, made: OnceCell::new() }
    }

    pub fn terms(&self) -> Terms {
        let (timeout, retry) = (self.smtp.timeout_seconds, self.smtp.retry_seconds);
        Terms { at_once: AT_ONCE, timeout: Duration::from_secs(timeout + 5), retry: Duration::from_secs(retry) }
    }

    pub async fn send(&self, job: &Running) -> Result<(), Failure> {
        let mail: Mail = job.payload()?;
        let make = async || Ok::<_, String>((self.smtp.transport()?, self.smtp.from()?));
        let (transport, from) = self.made.get_or_try_init(make).await.map_err(Failure::Again)?;
        let message = mail.message(from).map_err(Failure::Final)?;
        transport.send(message).await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// What is wrong with this mail will be wrong again; what is wrong with our log-in or the server concerns all of them, and
/// somebody will put it right.
fn failed(error: &SmtpError) -> Failure {
    let code = error.status().map(|code| code.to_string());
    let is_of_this_mail = matches!(code.as_deref(), Some("501" | "550" | "551" | "552" | "553" | "555"));
    if is_of_this_mail { Failure::last(error) } else { Failure::again(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_says_what_it_is_about() {
        let mail = Mail {
            about: "0193.order_placed".to_owned(),
            to: "ada@example.com".to_owned(),
            subject: "Your order\r\nBcc: all@example.com".to_owned(),
            text: "Grüße".to_owned(),
        };
        let message = mail.message(&"Shop <shop@example.org>".parse().unwrap()).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        assert!(text.contains("Message-ID: <0193.order_placed@example.org>\r\n"), "{text}");
        assert!(!text.contains("\nBcc:"), "a subject is no place for other headers: {text}");
        let nobody = Mail { to: "nobody".to_owned(), ..mail };
        assert!(nobody.message(&"Shop <shop@example.org>".parse().unwrap()).is_err());
    }
}
