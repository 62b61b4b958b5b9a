//! Requests that are looked at one by one and carried out together: those that were accepted go on, and in the end
//! each has its own outcome again, in the order in which they came.

/// What was refused, and where.
#[derive(Debug)]
pub struct Refused<E>(Vec<Option<E>>);

/// Sets apart what was accepted.
pub fn sift<T, E>(looked_at: impl IntoIterator<Item = Result<T, E>>) -> (Vec<T>, Refused<E>) {
    let mut accepted = Vec::new();
    let refused = looked_at.into_iter().map(|result| match result {
        Ok(item) => {
            accepted.push(item);
            None
        }
        Err(error) => Some(error),
    });
    let refused = refused.collect();
    (accepted, Refused(refused))
}

impl<E> Refused<E> {
    /// Puts the outcomes of what was accepted, one for each and in their order, between the refusals.
    pub fn weave<A>(self, outcomes: impl IntoIterator<Item = Result<A, E>>) -> Vec<Result<A, E>> {
        let mut outcomes = outcomes.into_iter();
        let woven = self.0.into_iter().map(|refused| match refused {
            Some(error) => Err(error),
            None => outcomes.next().expect("one for each that was accepted"),
        });
        let woven = woven.collect();
        assert!(outcomes.next().is_none(), "no more outcomes than were accepted");
        woven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_outcome_in_order() {
        let (accepted, refused) = sift([Ok(1), Err("no"), Ok(2), Err("never"), Ok(3)]);
        assert_eq!(accepted, [1, 2, 3]);
        let woven = refused.weave([Ok('a'), Err("late"), Ok('c')]);
        assert_eq!(woven, [Ok('a'), Err("no"), Err("late"), Err("never"), Ok('c')]);
    }
}
