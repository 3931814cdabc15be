//! Our ring beside iceoryx2, on one machine and in one run.
//!
//! ```sh
//! cargo run --release -- [--grids N] [--rounds N] [--readers 1,8] [--every-us N] [--load] [--quick]
//!     [--markdown FILE]
//! ```
//!
//! As root it also tries readers of another user; `--features dev-permissions` builds iceoryx2 so that
//! it admits them, by files that everybody may write.
//!
//! # What is compared
//!
//! Grids of 2 MiB from one process to 1 and 8 others. Both sides begin with the labels in a buffer
//! of the publisher's and end with them in a buffer of the reader's, because that is what our
//! users do: the pipeline has the labels in memory that a GPU wrote, and a planner keeps what it
//! plans on.
//!
//! - **The ring**: `Writer::publish` (a checksum and a copy, then a word to the serving thread,
//!   which wakes the readers), and `Reader::next` (a futex, a copy, a checksum). Once more with
//!   readers that leave out the checksum: iceoryx2 has none, so the difference is its price.
//! - **iceoryx2**: loan a sample, copy the labels in, send it, notify its event service; readers
//!   block on the event, take samples and copy them out.
//!
//! iceoryx2 can do with fewer copies than that: a publisher may compute into the loaned sample, and
//! a reader may work in the shared one for as long as it holds it. So each of its grids is stamped
//! at four points, and the page has all four delays. "iceoryx2 plus one copy", which the ring is
//! held to, is the labels written in place and copied out; the stricter reading for iceoryx2 (labels
//! copied in and out) is the baseline that moves the same bytes as the ring does.
//!
//! A writer and its readers are processes. iceoryx2's readers may be as late as the ring's (three
//! grids), and its samples are aligned as ours; its log is off. Every reader looks at every word of every grid: one
//! that is mixed, wrong or out of order fails the run. What a reader missed is counted; delays are
//! of the grids that arrived. The contenders take turns within a round; ratios are of one round.

mod arguments;
mod child;
mod contender;
mod content;
mod footprint;
mod iceoryx;
mod load;
mod memory;
mod reading;
mod report;
mod ring;
mod rounds;
mod samples;
mod startup;
mod stream;
mod users;
mod writing;

use arguments::Plan;
use child::{Message, ROLE, Role};
use contender::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [role, order] if role == ROLE => be(order).map(|()| ExitCode::SUCCESS),
        _ => compare(&arguments),
    };
    result.unwrap_or_else(|error| {
        rounds::progress(&error.to_string());
        ExitCode::FAILURE
    })
}

/// Measures everything and writes the page.
fn compare(arguments: &[String]) -> Result<ExitCode, Failure> {
    let plan = Plan::parse(arguments)?;
    let machine = report::Machine::look()?;
    let circumstances = rounds::measure(&plan)?;
    let footprints = footprint::measure()?;
    let starts = startup::measure(plan.starts)?;
    let attempts = users::measure()?;
    let page = report::Page {
        machine,
        command: arguments.join(" "),
        plan: &plan,
        circumstances: &circumstances,
        footprints: &footprints,
        starts: &starts,
        attempts: attempts.as_deref(),
    };
    page.write(plan.markdown.as_deref())?;
    let figures = || circumstances.iter().flat_map(|each| each.rounds.iter().flatten());
    let wrong: u64 = figures().map(|figures| figures.wrong).sum();
    if wrong > 0 {
        return Err(format!("{wrong} grids were not whole, or out of order").into());
    }
    Ok(ExitCode::SUCCESS)
}

/// In a child: is what the parent ordered.
fn be(order: &str) -> Result<(), Failure> {
    let result = match serde_json::from_str(order)? {
        Role::Writer(order) => writing::run(&order),
        Role::Reader(order) => reading::run(&order),
        Role::Load => load::run(),
    };
    // The parent says what it means; where it is gone, nobody needs to know.
    result.or_else(|error| child::say(&Message::Failed { error: error.to_string() }))
}
