//! Statements as parts of one.

use std::fmt::Write;

/// Adds a part, whose arguments come after so many of others.
pub fn renumber(sql: &mut String, part: &str, before: usize) {
    let mut pieces = part.split('$');
    sql.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (number, rest) = piece.split_at(piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len()));
        // A dollar sign without a number would be in a literal.
        match number.parse::<usize>() {
            Ok(number) => _ = write!(sql, "${}", before + number),
            Err(_) => sql.push('$'),
        }
        sql.push_str(rest);
    }
}
