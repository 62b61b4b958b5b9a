//! What the server says when it refuses.

use std::fmt;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

/// An `application/problem+json` answer (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: Option<String>,
    pub errors: Vec<Fault>,
    pub shortages: Vec<serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Fault {
    pub pointer: String,
    pub code: String,
    pub detail: Option<String>,
}

impl Problem {
    pub fn slug(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or_default()
    }

    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_else(|_| Self {
            detail: Some(String::from_utf8_lossy(body).chars().take(200).collect()),
            ..Self::default()
        });
        problem.status = status.as_u16();
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for part in [self.slug(), self.detail.as_deref().unwrap_or(&self.title)] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        let told = self.detail.as_deref().unwrap_or_default();
        for fault in self.errors.iter().take(5) {
            let detail = fault.detail.as_deref().unwrap_or(&fault.code);
            if told.contains(detail) {
                continue;
            }
            write!(f, "; {} {detail}", fault.pointer)?;
        }
        for shortage in self.shortages.iter().take(3) {
            write!(f, "; short: {shortage}")?;
        }
        Ok(())
    }
}

/// The answer to a bulk call: each item on its own, in the order of the request.
#[derive(Debug, Deserialize)]
pub struct Batch {
    pub results: Vec<BatchResult>,
}

#[derive(Debug, Deserialize)]
pub struct BatchResult {
    pub status: u16,
    #[serde(default)]
    pub problem: Option<Problem>,
}

impl BatchResult {
    /// The problem, if the item was refused for another reason than `allowed`.
    pub fn refusal(&self, allowed: Option<&str>) -> Option<String> {
        if (200..300).contains(&self.status) {
            return None;
        }
        match &self.problem {
            Some(problem) if allowed == Some(problem.slug()) => None,
            Some(problem) => Some(problem.to_string()),
            None => Some(self.status.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_one_line() {
        let body = br#"{"type": "https://shop.example/problems/validation", "title": "Invalid", "status": 422,
            "detail": "The order is invalid.", "errors": [{"pointer": "/lines/0/quantity", "code": "range"}]}"#;
        let problem = Problem::read(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(problem.slug(), "validation");
        assert_eq!(problem.to_string(), "422 validation The order is invalid.; /lines/0/quantity range");
    }

    #[test]
    fn an_answer_that_is_no_problem_document_is_quoted() {
        let problem = Problem::read(StatusCode::BAD_GATEWAY, b"<html>upstream is away</html>");
        assert_eq!(problem.to_string(), "502 <html>upstream is away</html>");
    }

    #[test]
    fn an_item_of_a_batch_is_refused_unless_its_problem_is_allowed() {
        let text = r#"{"status": 409, "problem": {"type": "/problems/already-exists", "status": 409, "detail": "It is there."}}"#;
        let result: BatchResult = serde_json::from_str(text).unwrap();
        assert_eq!(result.refusal(Some("already-exists")), None);
        assert_eq!(result.refusal(None).as_deref(), Some("409 already-exists It is there."));
    }
}
