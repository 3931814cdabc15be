//! The reader in C, `tests/alone`: compiled once, run with bounded patience, and offered what a writer that lies would.
#![allow(dead_code, reason = "every test file uses another part")]

use crate::support::{Reaped, hello, receive};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; only a failing test takes it.
const PLENTY: Duration = Duration::from_secs(30);
const SOURCES: [&str; 2] = ["reader.c", "attach.c"];
const FLAGS: [&str; 7] =
    ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O2"];
const SANITIZE: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// The program. A compiler is a prerequisite of the project: without one this fails.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("reader", &[]))
}

/// The program with sanitizers, or else without; then it says that `test` goes without.
pub(crate) fn sanitized(test: &str) -> &'static Path {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let sanitized = PROGRAM.get_or_init(|| can_sanitize().then(|| compile("sanitized", &SANITIZE)));
    sanitized.as_deref().unwrap_or_else(|| {
        // Straight to the stream: the test harness keeps what a passing test prints to itself.
        let line = format!("SKIPPED {test} (sanitizers): the C compiler has none\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        program()
    })
}

fn compile(name: &str, flags: &[&str]) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alone");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let fresh = tempfile::tempdir_in(target).unwrap();
    let program = fresh.path().join(name);
    let mut compiler = compiler();
    compiler.args(FLAGS).args(flags).args(SOURCES.map(|source| sources.join(source)));
    let output = compiler.arg("-o").arg(&program).output();
    let output = output.unwrap_or_else(|error| panic!("no C compiler: {compiler:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{compiler:?}: {errors}");
    // In one step: another run of the tests may be about to start the last one.
    let path = target.join(format!("c-{name}"));
    std::fs::rename(program, &path).unwrap();
    path
}

/// Whether programs with sanitizers can be built here, and run.
fn can_sanitize() -> bool {
    let fresh = tempfile::tempdir().unwrap();
    let (source, program) = (fresh.path().join("nothing.c"), fresh.path().join("nothing"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let built = compiler().args(SANITIZE).arg(source).arg("-o").arg(&program).output();
    built.is_ok_and(|output| output.status.success())
        && Command::new(program).output().is_ok_and(|output| output.status.success())
}

/// `$CC`, which may have arguments, or `cc`.
fn compiler() -> Command {
    let named = std::env::var("CC").unwrap_or_default();
    let mut words = named.split_whitespace();
    let mut compiler = Command::new(words.next().unwrap_or("cc"));
    compiler.args(words);
    compiler
}

/// The program, running. Whatever happens, it is killed in the end.
pub(crate) struct Run {
    child: Reaped,
    lines: Receiver<String>,
    errors: JoinHandle<String>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: i32,
    /// Those that nobody had asked for before.
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

impl Run {
    pub(crate) fn start(program: &Path, socket: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg(socket).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What is looked for is a wrong access; leaks cannot be told where a process may not be traced.
        let mut child = Reaped(command.env("ASAN_OPTIONS", "detect_leaks=0").spawn().unwrap());
        let (stdout, mut stderr) = (child.0.stdout.take().unwrap(), child.0.stderr.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // The test has ended if nobody wants the line.
                let _ = send.send(line.unwrap());
            }
        });
        let errors = std::thread::spawn(move || {
            let mut errors = String::new();
            stderr.read_to_string(&mut errors).unwrap();
            errors
        });
        Self { child, lines, errors }
    }

    /// The next line.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PLENTY).unwrap_or_else(|error| panic!("no line: {error}"))
    }

    /// Stops it; when this returns, it does nothing any more.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let (state, start) = (format!("/proc/{}/stat", self.child.0.id()), Instant::now());
        while !std::fs::read_to_string(&state).unwrap().contains(") T ") {
            assert!(start.elapsed() < PLENTY, "it does not stop");
            std::thread::yield_now();
        }
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).unwrap();
    }

    /// Waits for it to end by itself.
    pub(crate) fn end(mut self) -> End {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PLENTY) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end, after {lines:?}"),
            }
        }
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PLENTY, "it has closed its output, but does not end");
            std::thread::sleep(Duration::from_millis(1));
        };
        let errors = self.errors.join().unwrap();
        let code = status.code().unwrap_or_else(|| panic!("{status}: {errors}"));
        End { code, lines, errors }
    }
}

/// Exit 1, with one line that has `reason` in it.
pub(crate) fn assert_fails(end: &End, reason: &str) {
    let Some(line) = end.errors.strip_suffix('\n') else { panic!("{end:?}") };
    assert!(end.code == 1 && line.starts_with("reader: ") && !line.contains('\n'), "{end:?}");
    assert!(line.contains(reason), "{reason:?} is not in {line:?}");
}

/// What becomes of the program when a writer at `socket` answers its hello as `answer` says, and then hangs up.
pub(crate) fn offered(
    program: &Path,
    socket: &Path,
    listener: &OwnedFd,
    arguments: &[&str],
    answer: impl FnOnce(&OwnedFd),
) -> End {
    let run = Run::start(program, socket, arguments);
    wait_readable(listener);
    let client = rustix::net::accept(listener).unwrap();
    wait_readable(&client);
    let notify = u64::from(arguments.contains(&"--notify"));
    assert_eq!(receive(&client).0, hello(1, 1, notify));
    answer(&client);
    drop(client);
    run.end()
}

/// The sequence in a line of a grid.
pub(crate) fn number(line: &str) -> u64 {
    let (_, rest) = line.split_once(" sequence=").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// FNV-1a, 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(crate) fn send(socket: &OwnedFd, bytes: &[u8]) {
    rustix::net::send(socket, bytes, SendFlags::NOSIGNAL).unwrap();
}

fn wait_readable(socket: &OwnedFd) {
    let mut sockets = [PollFd::new(socket, PollFlags::IN)];
    let timeout = Timespec::try_from(PLENTY).unwrap();
    assert_eq!(poll(&mut sockets, Some(&timeout)).unwrap(), 1, "the reader does not come");
}
