//! Commands of one kind that are carried out together: one transaction for all that wait for it.
//!
//! Each has the answer that it would have had alone, in the order of their arrival, and its own idempotency record and
//! row in the audit trail. One that is refused leaves no trace and does not fail its neighbours. Where the transaction
//! itself fails, each is tried again alone, so that no one suffers for another.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;
use futures::future::{BoxFuture, FutureExt};
use sqlx::PgConnection;

use super::{Claims, Command, Told, Tries, record};
use crate::platform::coalesce::{Coalescer, Keys, Refused, Shape};
use crate::platform::db::{Answers, Db, Reads, Tx, Writes};
use crate::platform::extract::Input;
use crate::platform::problem::{OVERLOADED, Problem};
use crate::platform::reply::Reply;

/// A command with what its handler found out.
pub struct Member<T, C> {
    pub command: Command<T>,
    pub context: C,
}

/// An answer for each member, in their order. What is refused must have changed nothing.
pub type Outcomes = Result<Vec<Result<Reply, Problem>>, Problem>;

/// How commands of one kind are carried out. It may happen more than once, so it must do nothing outside the transaction.
pub trait Work<T, C>: Send + Sync + 'static {
    /// What they ask for
    type Asked: Send + Sync;

    /// Asks what they want to know first, in one statement with their keys. Some may turn out to have been answered before.
    fn ask(&self, reads: &mut Reads, members: &[&Member<T, C>]) -> Self::Asked;

    /// Carries out the rest. What is left in the writes is written with the audit trail and the answers.
    fn carry_out<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        writes: &'a mut Writes,
        members: &'a [&'a Member<T, C>],
        asked: &'a Self::Asked,
        answers: &'a Answers,
    ) -> BoxFuture<'a, Outcomes>;
}

/// The transaction for it, begun before it is known who goes along.
type Begun = sqlx::Result<Tx>;

/// The queue of one kind of command.
pub struct Together<T, C>(Coalescer<Member<T, C>, Result<Reply, Problem>>);

impl<T, C> Clone for Together<T, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Input, C: Send + Sync + 'static> Together<T, C> {
    pub fn new(name: &'static str, shape: Shape, db: Db, work: impl Work<T, C>) -> Self {
        let (work, begins) = (Arc::new(work), db.clone());
        let begin = move || {
            let db = begins.clone();
            async move { db.begin().await }.boxed()
        };
        Self(Coalescer::new(name, shape, begin, move |begun, members: Vec<Member<T, C>>| {
            let (db, work) = (db.clone(), work.clone());
            async move {
                let all: Vec<&Member<T, C>> = members.iter().collect();
                carry_out(&db, begun, &all, &*work).await
            }
            .boxed()
        }))
    }

    /// Carries out a command with others, and in no transaction beside one with any of its `keys`: what it would wait for. It
    /// goes on when the client hangs up.
    pub async fn run(&self, keys: Keys, command: Command<T>, context: C) -> Result<Reply, Problem> {
        match self.0.run(keys, Member { command, context }).await {
            Ok(outcome) => outcome,
            Err(Refused::Full) => Err(Problem::new(&OVERLOADED, "too many requests are waiting for the same thing")),
            Err(lost @ Refused::Lost) => Err(Problem::internal(lost)),
        }
    }
}

/// All together, or, where that fails, one by one.
async fn carry_out<T: Input, C: Send + Sync>(
    db: &Db,
    begun: Begun,
    members: &[&Member<T, C>],
    work: &impl Work<T, C>,
) -> Vec<Result<Reply, Problem>> {
    let problem = match attempts(db, begun, members, work).await {
        Ok(outcomes) => return outcomes,
        Err(problem) => problem,
    };
    // A database that is away, or too busy, is so for each of them.
    if members.len() == 1 || problem.status() != StatusCode::INTERNAL_SERVER_ERROR {
        return members.iter().map(|_| Err(problem.clone())).collect();
    }
    let mut outcomes = Vec::new();
    for member in members {
        let alone = attempts(db, db.begin().await, std::slice::from_ref(member), work).await;
        outcomes.push(alone.and_then(|mut outcomes| outcomes.pop().expect("one for one")));
    }
    outcomes
}

async fn attempts<T: Input, C: Send + Sync>(
    db: &Db,
    mut begun: Begun,
    members: &[&Member<T, C>],
    work: &impl Work<T, C>,
) -> Outcomes {
    let mut tries = Tries::default();
    loop {
        let outcomes = attempt(begun, members, work).await;
        if !tries.again(&outcomes).await {
            return outcomes;
        }
        begun = db.begin().await;
    }
}

async fn attempt<T: Input, C: Send + Sync>(
    begun: Begun,
    members: &[&Member<T, C>],
    work: &impl Work<T, C>,
) -> Outcomes {
    let mut tx = begun?;
    let commands: Vec<&Command<T>> = members.iter().map(|member| &member.command).collect();
    let mut reads = Reads::default();
    let claims = Claims::ask_for(&mut reads, &commands);
    let wanted = work.ask(&mut reads, members);
    let answers = reads.ask_all(&mut tx).await?;
    let mut outcomes = claims.read(&answers, &commands)?;
    let open: Vec<usize> = (0..members.len()).filter(|n| outcomes[*n].is_none()).collect();
    if !open.is_empty() {
        let asked: Vec<&Member<T, C>> = open.iter().map(|n| members[*n]).collect();
        asked.iter().for_each(|member| *member.command.told() = Told::default());
        let mut writes = Writes::default();
        let replies = work.carry_out(&mut tx, &mut writes, &asked, &wanted, &answers).await?;
        assert_eq!(replies.len(), asked.len(), "every member has its answer");
        // Refusals are kept as they are told; what is the server's fault is not.
        let kept: Vec<Option<Cow<Reply>>> =
            asked.iter().zip(&replies).map(|(member, answer)| to_keep(member, answer)).collect();
        let recorded: Vec<(&Command<T>, &Reply)> =
            asked.iter().zip(&kept).filter_map(|(member, reply)| Some((&member.command, reply.as_deref()?))).collect();
        record(&mut tx, writes, &recorded).await?;
        for (n, answer) in open.into_iter().zip(replies) {
            outcomes[n] = Some(answer);
        }
    }
    tx.commit().await?;
    Ok(outcomes.into_iter().map(|outcome| outcome.expect("answered above")).collect())
}

fn to_keep<'a, T: Input, C>(member: &Member<T, C>, answer: &'a Result<Reply, Problem>) -> Option<Cow<'a, Reply>> {
    match answer {
        Ok(reply) => Some(Cow::Borrowed(reply)),
        Err(problem) if problem.status().is_client_error() && member.command.idempotency.is_some() => {
            Some(Cow::Owned(member.command.refusal(problem)))
        }
        Err(_) => None,
    }
}
