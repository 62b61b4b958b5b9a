//! The real binary, set up by variables, and a provider that speaks TLS: whom it trusts, and what its log tells.

#[path = "../../support/server.rs"]
mod process;

use std::path::Path;

use serde_json::json;

use super::signer::{Provider, SECRET};
use super::{Asked, PUBLIC_URL, START, cookies, session_of, visit};

const KEY: &str = "a key of the set-up, for the tests of oidc";

/// A server whose log is as talkative as can be, and whose machine trusts this certificate.
fn start(provider: &Provider, trusted: &Path, home: &Path) -> process::Server {
    let mut command = process::serve_command(home, &home.join("data"));
    command.env("STOCKHOLD_LOG", "trace").env("STOCKHOLD_ADMIN_KEY", KEY).env("SSL_CERT_FILE", trusted);
    command.env("STOCKHOLD_PUBLIC_URL", PUBLIC_URL).env("STOCKHOLD_OIDC_ISSUER", provider.issuer());
    command.env("STOCKHOLD_OIDC_CLIENT_ID", "stockhold").env("STOCKHOLD_OIDC_CLIENT_SECRET", SECRET);
    command.env("STOCKHOLD_OIDC_NEW_USERS", "viewer").env("STOCKHOLD_OIDC_NAME", "007");
    process::Server::run(command, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_has_to_be_trusted_and_no_secret_gets_into_the_log() {
    let home = process::place();
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str, pem: String| {
        let path = home.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let (trusted, foreign) = (file("trusted.pem", certificate.cert.pem()), file("foreign.pem", other.cert.pem()));
    let provider = Provider::start_with_tls(&certificate).await;

    let mut server = start(&provider, &foreign, home.path());
    let url = format!("http://{}", server.address);
    visit(&url, START, "").await.refused(503, "unavailable");
    assert!(server.process.said().contains("the OpenID provider cannot be asked"), "the log says why");
    assert!(server.process.stop().success());

    let server = start(&provider, &trusted, home.path());
    let url = format!("http://{}", server.address);
    assert_eq!(visit(&url, "/v1/session/oidc", "").await.expect(200)["name"], "007");
    let asked = Asked::at(&url, START).await;
    let mut claims = provider.claims(&asked);
    let path = provider.grant(&asked, &claims);
    let answer = visit(&url, &path, &asked.cookie).await;
    let session = cookies(&answer).join(" ");
    let (_, own) = session_of(&url, answer).await;
    assert_eq!((&own["user"]["login"], &own["user"]["role"]), (&json!("anna@example.com"), &json!("viewer")));
    // One that is refused, of which there is more to tell.
    let again = Asked::at(&url, START).await;
    claims["nonce"] = json!("planted-nonce");
    let refused = provider.grant(&again, &claims);
    visit(&url, &refused, &again.cookie).await.refused(401, "external-login-failed");

    let log = server.process.said();
    assert!(log.contains("what the OpenID provider answered was refused"));
    let token = provider.signed(&claims);
    let token = token.split('.').nth(1).unwrap();
    let session = session.split(['=', ' ']).nth(1).unwrap().to_owned();
    let mut secrets = vec![SECRET.to_owned(), token.to_owned(), session, "access-code-0".to_owned()];
    for asked in [&asked, &again] {
        secrets.extend([asked.parameter("state"), asked.cookie.split_once('=').unwrap().1.to_owned()]);
    }
    secrets.extend(["code=code-0".to_owned(), url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect()]);
    for secret in secrets {
        assert!(secret.len() > 8, "{secret}");
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "the log has {secret}: {}", line.unwrap_or_default());
    }
}
