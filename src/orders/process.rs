//! What stands above this module and brings orders further.

use futures::future::BoxFuture;
use sqlx::PgConnection;

use super::Order;
use crate::platform::problem::Problem;

/// It hears of orders by the news of them, some moments after they are placed. Asked before one is shipped, so that none leaves
/// in between.
pub trait Process: Send + Sync {
    /// Begins with an order that it has to do with and has not begun with; that may hold the order back. Says whether it did. The
    /// order's row is locked.
    fn catch_up_in_tx<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<bool, Problem>>;
}
