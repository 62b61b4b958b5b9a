//! The whole way through a real provider and its pages: Canaille, which `.ci/oidc/provider.py` starts.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use reqwest::{Client, redirect};
use serde_json::json;
use stockhold::access::Oidc;
use url::Url;

use super::{Asked, CALLBACK, PUBLIC_URL, server_with, session_of, visit};
use crate::harness::{DEADLINE, Server};
use crate::users;

/// The Python that has it; `.ci/run` makes one.
const PYTHON: &str = "OIDC_PROVIDER_PYTHON";

/// A provider that ends with the test: its standard input does.
struct Canaille {
    process: Child,
    issuer: String,
}

impl Canaille {
    /// None where it is not installed, which is said aloud, and must not be in CI.
    fn start(people: &[&str]) -> Option<Self> {
        let Some(python) = std::env::var_os(PYTHON) else {
            assert!(std::env::var_os("CI").is_none(), "in CI, {PYTHON} says where Canaille is");
            // Past the test harness, which keeps to itself what a test prints that passes.
            let told = format!(
                "SKIPPED: the log-in through a real OpenID provider. \
                 {PYTHON}=$(.ci/venv .ci/oidc/requirements.txt)/bin/python makes it run\n"
            );
            std::io::stderr().write_all(told.as_bytes()).unwrap();
            return None;
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/oidc/provider.py");
        let mut process = Command::new(python)
            .args(["-B", script, &format!("{PUBLIC_URL}{CALLBACK}")])
            .args(people)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut issuer = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut issuer).unwrap();
        let issuer = issuer.trim().to_owned();
        assert!(issuer.starts_with("http://127.0.0.1:"), "Canaille did not start: run {script} to see why");
        Some(Self { process, issuer })
    }

    fn settings(&self, secret: &str) -> Oidc {
        let given = json!({"issuer": self.issuer, "client_id": "stockhold", "client_secret": secret});
        serde_json::from_value(given).unwrap()
    }
}

impl Drop for Canaille {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser at the provider: it keeps cookies, fills forms, and follows until it is sent to us.
struct Browser {
    client: Client,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new() -> Self {
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(DEADLINE).build().unwrap();
        Self { client, cookies: Vec::new() }
    }

    /// The page, or where it sends the browser.
    async fn go(&mut self, url: &Url, form: Option<&[(&str, &str)]>) -> Result<String, Url> {
        let request = match form {
            None => self.client.get(url.clone()),
            Some(fields) => {
                let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                let request = self.client.post(url.clone()).body(body);
                request.header("content-type", "application/x-www-form-urlencoded")
            }
        };
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = request.header("cookie", cookies.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        match answer.headers().get("location") {
            Some(to) => Err(url.join(to.to_str().unwrap()).unwrap()),
            None => Ok(answer.text().await.unwrap()),
        }
    }

    /// Logs in there, and returns where the browser is sent back to.
    async fn log_in(&mut self, asked: &Asked, login: &str, password: &str) -> Url {
        let mut url = asked.url.clone();
        for _ in 0..12 {
            let sent = match self.go(&url, None).await {
                Err(sent) => sent,
                Ok(page) => {
                    let token = hidden(&page, "csrf_token");
                    let field =
                        if page.contains("name=\"password\"") { ("password", password) } else { ("login", login) };
                    let answer = self.go(&url, Some(&[("csrf_token", &token), field])).await;
                    answer.err().unwrap_or_else(|| panic!("{url} did not take {field:?}"))
                }
            };
            if sent.as_str().starts_with(PUBLIC_URL) {
                return sent;
            }
            url = sent;
        }
        panic!("the provider leads nowhere, at last to {url}");
    }
}

/// The value of a hidden field of a page.
fn hidden(page: &str, name: &str) -> String {
    let field = page.split(&format!("name=\"{name}\"")).nth(1).expect("a form");
    field.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a value").to_owned()
}

/// What the provider sent the browser back with, given to our server.
async fn come_back(server: &Server, sent: &Url, cookie: &str) -> crate::harness::Answer {
    visit(&server.url, &format!("{}?{}", sent.path(), sent.query().unwrap()), cookie).await
}

#[tokio::test]
async fn people_log_in_through_the_pages_of_a_real_provider() {
    let Some(canaille) = Canaille::start(&["anna@example.com", "nobody@example.com"]) else { return };
    let server = server_with(canaille.settings("the-secret-of-the-client")).await;
    let anna = users::user(&server, "anna@example.com", "clerk", json!({})).await;
    let mut browser = Browser::new();
    let asked = Asked::at(&server.url, "/v1/session/oidc/start?return_to=/docs/").await;
    let sent = browser.log_in(&asked, "anna", "provider password").await;
    let answer = come_back(&server, &sent, &asked.cookie).await;
    assert_eq!(answer.header("location"), Some("/docs/"));
    let (_, own) = session_of(&server.url, answer).await;
    assert_eq!((&own["user"]["id"], &own["user"]["issuer"]), (&json!(anna), &json!(canaille.issuer)));
    come_back(&server, &sent, &asked.cookie).await.refused(401, "external-login-failed");

    // She is still logged in there, so it only takes the way there and back.
    let again = Asked::of(&server).await;
    let sent = browser.go(&again.url, None).await.unwrap_err();
    let (_, own) = session_of(&server.url, come_back(&server, &sent, &again.cookie).await).await;
    assert_eq!(own["user"]["id"], json!(anna));

    let asked = Asked::of(&server).await;
    let sent = Browser::new().log_in(&asked, "nobody", "provider password").await;
    come_back(&server, &sent, &asked.cookie).await.refused(401, "external-login-failed");
}

#[tokio::test]
async fn a_real_provider_makes_nobody_known_to_a_client_with_a_wrong_secret() {
    let Some(canaille) = Canaille::start(&["anna@example.com"]) else { return };
    let server = server_with(canaille.settings("another-secret")).await;
    users::user(&server, "anna@example.com", "clerk", json!({})).await;
    let asked = Asked::of(&server).await;
    let sent = Browser::new().log_in(&asked, "anna", "provider password").await;
    come_back(&server, &sent, &asked.cookie).await.refused(401, "external-login-failed");
}
