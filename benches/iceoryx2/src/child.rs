//! The processes of a measurement: this program again, told by its argument what to be. They
//! report in lines of JSON on their standard output, and do the next step for a line on their
//! standard input.

use crate::contender::{Contender, Failure, Meeting, PublishCost};
use crate::iceoryx::Limits;
use crate::memory::{ProcessMemory, Reserved};
use rustix::process::{Gid, Signal, Uid};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What a process is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    Writer(WriterOrder),
    Reader(ReaderOrder),
    Load,
}

/// What a writer is to do: be ready, and publish when told to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WriterOrder {
    pub(crate) contender: Contender,
    pub(crate) meeting: Meeting,
    /// The ring's slots.
    pub(crate) slots: u32,
    /// iceoryx2's settings; its defaults if there are none.
    pub(crate) limits: Option<Limits>,
    /// Frames 0, 1, ... up to this one.
    pub(crate) last_frame: u64,
    pub(crate) every_us: u64,
    /// Whose process it is, and who else may read; nobody in particular in most measurements.
    pub(crate) uid: Option<u32>,
    pub(crate) allowed_uid: Option<u32>,
}

/// What a reader is to do: attach and receive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReaderOrder {
    pub(crate) contender: Contender,
    pub(crate) meeting: Meeting,
    /// Up to this frame or a later one; 0 for any.
    pub(crate) last_frame: u64,
    pub(crate) uid: Option<u32>,
}

/// What a process reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The writer can publish; how long that took.
    Ready { create_ns: u64 },
    /// The writer has published all, one cost a frame, and looked around with its readers there.
    Published { costs: Vec<PublishCost>, memory: ProcessMemory, reserved: Reserved },
    /// The reader is attached; how long that took.
    Attached { attach_ns: u64 },
    /// The reader has its last frame.
    Received(Reception),
    /// The process gave up.
    Failed { error: String },
}

/// What a reader received.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reception {
    pub(crate) samples: Vec<Delay>,
    /// From the start of attaching to the first copy.
    pub(crate) first_grid_ns: u64,
    /// Frames that were not what their number says, whole.
    pub(crate) wrong: u64,
    pub(crate) memory: ProcessMemory,
}

/// How long after the publisher's start a grid was where, ns; see `contender::Arrival`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Delay {
    pub(crate) frame: u64,
    pub(crate) written_ns: u64,
    pub(crate) received_ns: u64,
    pub(crate) copied_ns: u64,
}

/// A process of ours. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    stdin: ChildStdin,
    messages: Receiver<Result<Message, String>>,
}

impl Child {
    pub(crate) fn start(role: &Role) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(ROLE)
            .arg(serde_json::to_string(role)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = process.stdin.take().expect("it was piped");
        let stdout = process.stdout.take().expect("it was piped");
        let (sender, messages) = channel();
        // A thread, because a pipe cannot be waited for with a limit by the standard library.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let message = line.map_err(|error| error.to_string()).and_then(|line| {
                    serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))
                });
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Ok(Self { process, stdin, messages })
    }

    /// Its next message; what it failed by as an error.
    pub(crate) fn message(&self, within: Duration) -> Result<Message, Failure> {
        match self.messages.recv_timeout(within) {
            Ok(Ok(Message::Failed { error }) | Err(error)) => Err(error.into()),
            Ok(Ok(message)) => Ok(message),
            Err(RecvTimeoutError::Timeout) => Err(format!("nothing within {within:?}").into()),
            Err(RecvTimeoutError::Disconnected) => Err("ended without a word".into()),
        }
    }

    /// Lets it do the next step.
    pub(crate) fn go_on(&mut self) -> Result<(), Failure> {
        Ok(self.stdin.write_all(b"\n")?)
    }

    /// Lets it end by itself, so that it takes down what it has put up.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        self.go_on()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Errors mean that it has ended and was waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a child: says something to the parent.
#[allow(clippy::print_stdout, reason = "standard output is how the processes talk")]
pub(crate) fn say(message: &Message) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(message)?);
    Ok(())
}

/// In a child: waits for the parent's word to go on.
pub(crate) fn wait_for_word() -> Result<(), Failure> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line)? {
        0 => Err("the parent is gone".into()),
        _ => Ok(()),
    }
}

/// In a child: becomes another user, for good and before any thread is started, and ends with its
/// parent.
pub(crate) fn settle(uid: Option<u32>) -> Result<(), Failure> {
    if let Some(id) = uid {
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_gid(Gid::from_raw(id))?;
        rustix::thread::set_thread_uid(Uid::from_raw(id))?;
    }
    // After the change of user, which takes it back.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// The argument before a role.
pub(crate) const ROLE: &str = "role";
