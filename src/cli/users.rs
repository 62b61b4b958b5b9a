//! `stockhold users`: works on the database itself, so it makes the first one.

use std::error::Error as StdError;
use std::io::{IsTerminal, stdin};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use super::database::Database;
use super::{Outcome, block_on, load};
use crate::access::{Access, NewUser, User};
use crate::app::App;
use crate::config::Flags;
use crate::platform::page::PageRequest;
use crate::telemetry;

/// Whom the list names as the maker of a user.
const ACTOR: &str = "command line";

#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a user; the password is asked for
    Create {
        /// An e-mail address or a name; upper and lower case are the same
        login: String,
        /// viewer, clerk, manager, admin, or one of your own
        #[arg(long)]
        role: String,
        /// The person's name [default: the login]
        #[arg(long)]
        name: Option<String>,
        /// Keep them to this warehouse; repeat it for more
        #[arg(long = "warehouse", value_name = "CODE")]
        warehouses: Vec<String>,
        /// Keep them to this channel; repeat it for more
        #[arg(long = "channel", value_name = "CODE")]
        channels: Vec<String>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the users
    List {
        /// Those who are disabled as well
        #[arg(long)]
        all: bool,
    },
    /// Keep a user from logging in, and end their sessions on every server within a second
    Disable { login: String },
    /// Set a user's password, and end their sessions; it is asked for
    Password {
        login: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

pub fn run(args: Args) -> Outcome {
    let config = load(&args.flags)?;
    telemetry::init_logs(if config.log == "info" { "warn" } else { &config.log }, config.log_format);
    // Before anything is started: nobody types while a database waits.
    let password = match &args.command {
        Command::Create { password_stdin, .. } | Command::Password { password_stdin, .. } => {
            Some(read_password(*password_stdin)?)
        }
        _ => None,
    };
    block_on(async {
        let database = Database::open_beside_server(&config).await?;
        let access = App::configured(database.db.clone(), &config).access;
        let outcome = execute(&access, args, password.unwrap_or_default()).await;
        database.close().await;
        outcome
    })?
}

async fn execute(access: &Access, args: Args, password: String) -> Outcome {
    match args.command {
        Command::Create { login, role, name, warehouses, channels, .. } => {
            let some = |codes: Vec<String>| (!codes.is_empty()).then_some(codes);
            let user = NewUser {
                name: name.unwrap_or_else(|| login.clone()),
                login,
                role,
                warehouses: some(warehouses),
                channels: some(channels),
                disabled: false,
            };
            show(&access.create_user(&user, password, ACTOR).await?, "can log in", args.json)?;
        }
        Command::Disable { login } => {
            let user = access.user_by_login(&login).await?;
            show(&access.disable_user(user.id).await?, "is disabled", args.json)?;
        }
        Command::Password { login, .. } => {
            let user = access.user_by_login(&login).await?;
            access.set_password(user.id, password).await?;
            show(&access.user(user.id).await?, "has a new password", args.json)?;
        }
        Command::List { all } => list(access, all, args.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// From standard input, its line break taken off; or from the terminal, twice and unseen.
fn read_password(from_stdin: bool) -> Result<String, Box<dyn StdError>> {
    if from_stdin {
        let text = std::io::read_to_string(stdin())?;
        return Ok(text.strip_suffix('\n').map_or(text.as_str(), |line| line.trim_end_matches('\r')).to_owned());
    }
    if !stdin().is_terminal() {
        return Err("there is no terminal to ask for the password: use --password-stdin".into());
    }
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Again: ")? != password {
        return Err("the two are not the same".into());
    }
    Ok(password)
}

fn show(user: &User, what: &str, json: bool) -> serde_json::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(user)?);
    } else {
        println!("{} ({}) {what}.", user.fields.login, user.id);
    }
    Ok(())
}

async fn list(access: &Access, all: bool, json: bool) -> Result<(), Box<dyn StdError>> {
    let disabled = if all { None } else { Some(false) };
    let mut users = Vec::new();
    let mut after = None;
    loop {
        let page = access.list_users(PageRequest { limit: 200, after }, None, disabled).await?;
        after = page.items.last().map(|user| user.id);
        users.extend(page.items);
        if page.next_cursor.is_none() {
            break;
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&users)?);
    } else {
        users.iter().for_each(|user| println!("{}", line(user)));
    }
    Ok(())
}

fn line(user: &User) -> String {
    let fields = &user.fields;
    let only = |what: &str, codes: &Option<Vec<String>>| {
        codes.as_ref().map_or(String::new(), |codes| format!("  {what} {}", codes.join(" ")))
    };
    let limits = only("warehouses", &fields.warehouses) + &only("channels", &fields.channels);
    let last = user.last_login_at.map_or("never".to_owned(), |time| time.to_string());
    let state = if fields.disabled { "  disabled" } else { "" };
    format!(
        "{}  {}  {}{limits}{state}\n    {}, made by {} at {}, last log-in {last}",
        user.id, fields.login, fields.role, fields.name, user.created_by, user.created_at
    )
}
