//! The life of a return request: `requested → approved → partially_received → received → closed`, or `rejected`, or
//! `cancelled`. Pure decisions; who calls holds the lock of the order.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a return is in its life
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReturnRequestStatus {
    /// Somebody has to decide
    Requested,
    /// It may be sent
    Approved,
    PartiallyReceived,
    /// All of it is there
    Received,
    /// Nothing more is expected
    Closed,
    Rejected,
    /// The customer keeps it
    Cancelled,
}

/// What somebody wants of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Approve,
    Reject,
    Cancel,
    Receive,
    Exchange,
    Close,
}

impl ReturnRequestStatus {
    /// Whether the step is allowed now. Goods may still come when all that was approved is there: that is an over receipt.
    /// Once goods have come, a request is closed rather than cancelled.
    /// Goods are awaited, or the decision whether they are.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Requested | Self::Approved | Self::PartiallyReceived)
    }

    pub fn allows(self, step: Step) -> bool {
        use ReturnRequestStatus::{Approved, Closed, PartiallyReceived, Received, Requested};
        match step {
            Step::Approve | Step::Reject => self == Requested,
            Step::Cancel => matches!(self, Requested | Approved),
            Step::Receive => matches!(self, Approved | PartiallyReceived | Received),
            Step::Exchange => matches!(self, PartiallyReceived | Received | Closed),
            Step::Close => matches!(self, PartiallyReceived | Received),
        }
    }
}

/// The units of a line of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    pub requested: i64,
    /// Nothing until it was decided; zero for a line that is not to come
    pub approved: Option<i64>,
    pub received: i64,
}

impl Units {
    /// What is still to come, and so cannot be asked for by another request. Of a request that has ended,
    /// nothing is.
    pub fn pending(&self, status: ReturnRequestStatus) -> i64 {
        use ReturnRequestStatus::{Approved, PartiallyReceived, Requested};
        match status {
            Requested | Approved | PartiallyReceived => {
                (self.approved.unwrap_or(self.requested) - self.received).max(0)
            }
            _ => 0,
        }
    }

    /// What came beyond what was approved.
    pub fn over(&self) -> i64 {
        (self.received - self.approved.unwrap_or(0)).max(0)
    }
}

/// Where a request is after goods came.
pub fn after_receipt(lines: &[Units]) -> ReturnRequestStatus {
    if lines.iter().all(|line| line.received >= line.approved.unwrap_or(0)) {
        ReturnRequestStatus::Received
    } else {
        ReturnRequestStatus::PartiallyReceived
    }
}

#[cfg(test)]
mod tests {
    use super::ReturnRequestStatus::{Approved, Cancelled, Closed, PartiallyReceived, Received, Rejected, Requested};
    use super::*;

    fn units(requested: i64, approved: Option<i64>, received: i64) -> Units {
        Units { requested, approved, received }
    }

    #[test]
    fn each_status_allows_its_steps() {
        let allowed = |status: ReturnRequestStatus| {
            let steps = [Step::Approve, Step::Reject, Step::Cancel, Step::Receive, Step::Exchange, Step::Close];
            steps.map(|step| status.allows(step))
        };
        assert_eq!(allowed(Requested), [true, true, true, false, false, false]);
        assert_eq!(allowed(Approved), [false, false, true, true, false, false]);
        assert_eq!(allowed(PartiallyReceived), [false, false, false, true, true, true]);
        assert_eq!(allowed(Received), [false, false, false, true, true, true]);
        assert_eq!(allowed(Closed), [false, false, false, false, true, false]);
        for ended in [Rejected, Cancelled] {
            assert_eq!(allowed(ended), [false; 6]);
        }
    }

    #[test]
    fn what_does_not_come_is_free_again() {
        assert_eq!(units(5, None, 0).pending(Requested), 5);
        assert_eq!(units(5, Some(3), 0).pending(Approved), 3);
        assert_eq!(units(5, Some(3), 2).pending(PartiallyReceived), 1);
        assert_eq!(units(5, Some(3), 2).pending(Closed), 0);
        assert_eq!(units(5, None, 0).pending(Rejected), 0);
    }

    #[test]
    fn more_than_approved_is_over_and_hides_no_line_that_is_short() {
        let (over, short) = (units(3, Some(2), 3), units(2, Some(2), 1));
        assert_eq!((over.over(), over.pending(PartiallyReceived)), (1, 0));
        assert_eq!(after_receipt(&[over, short]), PartiallyReceived);
        assert_eq!(after_receipt(&[over, units(2, Some(0), 0)]), Received);
    }
}
