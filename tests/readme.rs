//! README.md, tried: its walk-through is run as it stands, and its tables are compared with the code.

#[path = "support/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use server::Server;
use stockhold::config::{Config, Flags};

const README: &str = include_str!("../README.md");

/// A fenced block: its language, its text and the line it begins on.
struct Block {
    language: &'static str,
    text: &'static str,
    line: usize,
}

fn walk_through() -> Vec<Block> {
    let begin = README.find("<!-- walk-through -->").expect("the walk-through's beginning is marked");
    let end = README.find("<!-- end of the walk-through -->").expect("its end is marked");
    let mut blocks = Vec::new();
    let mut at = begin;
    while let Some(fence) = README[at..end].find("\n```").map(|n| at + n + 4) {
        let (language, _) = README[fence..].split_once('\n').expect("a block has lines");
        let from = fence + language.len() + 1;
        let to = from + README[from..].find("\n```").expect("a block ends") + 1;
        blocks.push(Block { language, text: &README[from..to], line: README[..from].lines().count() + 1 });
        at = to + 3;
    }
    blocks
}

/// Whether `found` has all that is in `wanted`; "…" stands for any text.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::String(_), Value::String(any)) if any == "…" => true,
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| found.get(key).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| contains(found, wanted))
        }
        _ => found == wanted,
    }
}

#[test]
fn the_walk_through_works_as_it_stands() {
    const SEAM: &str = "---- the next block ----";
    let blocks = walk_through();
    let home = server::place();
    let server = Server::start(home.path(), &home.path().join("data"));
    let script: String =
        blocks.iter().filter(|b| b.language == "bash").map(|b| format!("{}\necho '{SEAM}'\n", b.text)).collect();
    let script = script.replace("127.0.0.1:8080", &server.address.to_string());
    let run = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .env("KEY", server.key.as_deref().expect("a first start prints a key"))
        .current_dir(home.path())
        .output()
        .expect("bash is there");
    let said = String::from_utf8(run.stdout).expect("UTF-8");
    let mut outputs = said.split(SEAM);
    let mut output = "";
    let (mut ran, mut compared) = (0, 0);
    for (n, block) in blocks.iter().enumerate() {
        let place = format!("README.md:{}", block.line);
        match block.language {
            "bash" => {
                output = outputs.next().unwrap_or_else(|| panic!("{place} did not run; before it:\n{said}"));
                ran += 1;
                let answers = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                let is_refusal = |answer: &Value| answer["type"].as_str().is_some_and(|t| t.starts_with("/problems/"));
                let expected = blocks.get(n + 1).is_some_and(|next| next.text.contains("/problems/"));
                assert!(expected || !answers.into_iter().any(|a| is_refusal(&a)), "{place} was refused:\n{output}");
            }
            "json" => {
                let wanted: Value = serde_json::from_str(block.text).unwrap_or_else(|e| panic!("{place}: {e}"));
                let found = output.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
                let found = found.unwrap_or_else(|| panic!("{place}: no JSON in\n{output}"));
                assert!(contains(&found, &wanted), "{place} shows\n{wanted:#}\nand the server answered\n{found:#}");
                compared += 1;
            }
            "text" => {
                let same = output.lines().any(|line| line.trim() == block.text.trim());
                assert!(same, "{place} shows\n{}\nand this came out\n{output}", block.text);
                compared += 1;
            }
            other => panic!("{place}: a block of {other}; the walk-through has bash, json and text"),
        }
    }
    assert!(ran >= 8 && compared >= 7, "{ran} blocks ran, {compared} answers were compared");
}

/// The rows of the table of settings.
fn settings() -> Vec<Vec<&'static str>> {
    let section = README.split("\n## Settings\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = section.expect("there is a section on settings").lines().filter(|line| line.starts_with("| "));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_table_of_settings_is_the_settings() {
    let rows = settings();
    let config = serde_json::to_value(Config::default()).expect("plain data");
    let flags = flags();
    for (key, default) in config.as_object().expect("a structure") {
        let row = rows.iter().find(|row| row[0] == format!("`{key}`"));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for the setting `{key}`"));
        // Settings that have settings below them; these are left out as a whole where they are not wanted.
        let is_group = default.is_object() || ["oidc", "nats", "mqtt"].contains(&key.as_str());
        let variable = format!("`STOCKHOLD_{}{}`", key.to_uppercase(), if is_group { "_…" } else { "" });
        assert!(row[2].contains(&variable), "README.md: `{key}` has the variable {variable}");
        let flag = format!("--{}", key.replace('_', "-"));
        assert_eq!(row[1] == format!("`{flag}`"), flags.contains(&flag), "README.md: the flag of `{key}`");
        if default.is_object() {
            assert!(row[3].starts_with("[docs/"), "README.md: `{key}` leads to a page that has its settings");
            continue;
        }
        let shown = match default {
            Value::Null => "none".to_owned(),
            Value::String(text) if text.is_empty() => "none".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        assert!(key == "data_dir" || row[3] == shown, "README.md: the default of `{key}` is {shown}, not {}", row[3]);
    }
    let keys = rows.iter().filter_map(|row| row[0].strip_prefix('`')?.strip_suffix('`'));
    let strangers: Vec<&str> = keys.filter(|key| config.get(key).is_none()).collect();
    assert_eq!(strangers, Vec::<&str>::new(), "README.md: these are no settings");
}

/// The settings of a group, and their defaults, as a page shows them and as they are.
fn table(page: &str, group: &str) -> [BTreeSet<String>; 2] {
    let config = serde_json::to_value(Config::default()).expect("plain data");
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    let shown = lines.map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" "));
    let settings = config[group].as_object().expect("a structure").iter();
    let default = |default: &Value| match default {
        Value::String(text) if text.is_empty() => "none".to_owned(),
        other => format!("`{other}`"),
    };
    [shown.collect(), settings.map(|(key, value)| format!("| `{group}.{key}` {}", default(value))).collect()]
}

#[test]
fn the_tables_of_the_groups_are_their_settings() {
    let [shown, mut meant] = table(include_str!("../docs/limits.md"), "limits");
    meant.insert(format!("| `body_limit` `{}`", Config::default().body_limit));
    assert_eq!(shown, meant);
    let [shown, meant] = table(include_str!("../docs/events.md"), "webhooks");
    assert_eq!(shown, meant);
    let page = include_str!("../docs/notices.md");
    let [[shown, mut meant], [_, smtp]] = [table(page, "notices"), table(page, "smtp")];
    meant.extend(smtp);
    assert_eq!(shown, meant);
    let config = serde_json::to_value(Config::default()).expect("plain data");
    for (group, page) in
        [("carriers", include_str!("../docs/carriers.md")), ("stripe", include_str!("../docs/payments.md"))]
    {
        for (key, default) in config[group].as_object().expect("a structure") {
            let default = match default.to_string().trim_matches('"') {
                "" => "none".to_owned(),
                shown => format!("`{shown}`"),
            };
            let variable = format!("STOCKHOLD_{group}_{key}").to_uppercase();
            let row = format!("| `{group}.{key}` | `{variable}` | {default} |");
            assert!(page.contains(&row), "docs/: no row begins as {row}");
        }
    }
}

/// The flags that the command line knows.
fn flags() -> Vec<String> {
    let command = <Flags as clap::Args>::augment_args(clap::Command::new("serve"));
    command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect()
}

/// What a reader is told to type is what is checked.
#[test]
fn the_two_commands_are_what_ci_runs() {
    let ci = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).expect(".ci/run");
    let block = README.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the first block");
    let commands: Vec<&str> = block.lines().collect();
    assert_eq!(commands.len(), 2, "two commands, run and test");
    for command in commands {
        assert!(ci.contains(command), ".ci/run does not run `{command}`");
    }
}

#[test]
fn linked_files_are_there() {
    for target in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if let Some(anchor) = target.strip_prefix('#') {
            let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            let found = README.lines().any(|line| line.starts_with('#') && heading(line) == anchor);
            assert!(found, "README.md has no heading for {target}");
            continue;
        }
        let file = target.split('#').next().unwrap_or(target);
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert!(target.starts_with("http") || path.exists(), "README.md links to {target}");
    }
}
