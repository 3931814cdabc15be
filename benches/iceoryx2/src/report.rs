//! The page.

use crate::arguments::Plan;
use crate::contender::{Contender, Failure};
use crate::footprint::{Footprint, READERS};
use crate::rounds::{Circumstances, Figures};
use crate::samples::{Quantiles, median};
use crate::startup::Starts;
use crate::users::Attempt;
use occdepth_ring::layout::AbiVersion;
use std::path::Path;

/// Where it was measured.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    /// Before the run.
    load_average: String,
}

impl Machine {
    pub(crate) fn look() -> Result<Self, Failure> {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.map(|rest| rest.trim_start_matches([':', ' ', '\t']));
        let load = std::fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            processor: model.unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            load_average: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) machine: Machine,
    pub(crate) command: String,
    pub(crate) plan: &'a Plan,
    pub(crate) circumstances: &'a [Circumstances],
    pub(crate) footprints: &'a [Footprint],
    pub(crate) starts: &'a [(Contender, Starts)],
    pub(crate) attempts: Option<&'a [Attempt]>,
}

impl Page<'_> {
    /// To a file, or to standard output.
    #[allow(clippy::print_stdout, reason = "the page is what the program is for")]
    pub(crate) fn write(&self, file: Option<&Path>) -> Result<(), Failure> {
        let page = self.text();
        match file {
            Some(file) => std::fs::write(file, page)
                .map_err(|error| format!("{}: {error}", file.display()))?,
            None => print!("{page}"),
        }
        Ok(())
    }

    fn text(&self) -> String {
        let Self { machine, plan, .. } = self;
        let mut page = format!(
            "# The ring beside iceoryx2\n\n\
            Grids of 2 MiB between processes. {}, {} cores, Linux {}, load average {} before. Ring ABI {}, iceoryx2 {ICEORYX2}{}.\n\
            Rounds: {}, each of {} grids, one every {} ms, after {} to warm up; the contenders take turns. What is compared and why:\n\
            `benches/iceoryx2/src/main.rs`.\n\n\
            ```sh\ncd benches/iceoryx2 && cargo run --release -- {}\n```\n",
            machine.processor,
            machine.cores,
            machine.kernel,
            machine.load_average,
            AbiVersion::CURRENT,
            if DEV_PERMISSIONS { " built with `dev_permissions`" } else { "" },
            plan.rounds,
            plan.grids,
            plan.every_us as f64 / 1e3,
            crate::stream::WARM_UP_GRIDS,
            self.command,
        );
        page.push_str("\n## Publish to received copy\n\n");
        page.push_str(
            "All readers' grids together. p50 and p99 are medians of the rounds, max is of all rounds, µs. *Copied in*: from the\n\
            labels in the publisher's own buffer; *in place*: from the labels in the loaned sample. *Copied out*: to a copy in the\n\
            reader's own buffer; *borrowed*: to a reference to the shared sample.\n",
        );
        for circumstances in self.circumstances {
            page.push_str(&latency_table(circumstances));
        }
        page.push_str(
            "\nThe ring's delay over iceoryx2's, round by round: below 1, the ring is faster.\n\n\
            | | over iceoryx2 | p50, median | p99, median | p50 of each round |\n|---|---|---|---|---|\n",
        );
        for circumstances in self.circumstances {
            page.push_str(&ratio_rows(circumstances, &LATENCY_RATIOS));
        }
        page.push_str(
            "\n## Cost of publishing\n\nOn the publisher's thread, p50 and p99 as above, µs. The ring's includes checksum and copy, and\n\
            the word to the thread that wakes; iceoryx2's parts are measured within the same calls.\n",
        );
        for circumstances in self.circumstances {
            page.push_str(&publish_table(circumstances));
        }
        page.push_str(
            "\n| | over iceoryx2 | p50, median | p99, median | p50 of each round |\n|---|---|---|---|---|\n",
        );
        for circumstances in self.circumstances {
            page.push_str(&ratio_rows(circumstances, &PUBLISH_RATIOS));
        }
        page.push_str(&footprint_table(self.footprints));
        page.push_str(&allocation_table(self.circumstances));
        page.push_str(&startup_table(self.starts, plan.starts));
        page.push_str(&users_table(self.attempts));
        page
    }
}

fn latency_table(circumstances: &Circumstances) -> String {
    let mut table = format!(
        "\n**{}**\n\n| | p50 | p99 | max | missed |\n|---|---|---|---|---|\n",
        capital(&circumstances.to_string())
    );
    for (name, contender, part) in LATENCY_ROWS {
        let rounds: Vec<Quantiles> = circumstances.of(contender).map(part).collect();
        let missed: u64 = circumstances.of(contender).map(|figures| figures.missed).sum();
        let expected: u64 = circumstances.of(contender).map(|figures| figures.expected).sum();
        table.push_str(&format!("| {name} | {} | {missed} of {expected} |\n", cells(&rounds)));
    }
    table
}

fn publish_table(circumstances: &Circumstances) -> String {
    let mut table = format!(
        "\n**{}**\n\n| | p50 | p99 | max |\n|---|---|---|---|\n",
        capital(&circumstances.to_string())
    );
    for (name, contender, part) in PUBLISH_ROWS {
        let rounds: Vec<Quantiles> = circumstances.of(contender).map(part).collect();
        table.push_str(&format!("| {name} | {} |\n", cells(&rounds)));
    }
    table
}

fn ratio_rows(circumstances: &Circumstances, ratios: &[Ratio]) -> String {
    let mut rows = String::new();
    for Ratio { name, ours, ours_part, theirs_part } in ratios {
        let pairs = || {
            let theirs = circumstances.of(Contender::Iceoryx2).map(theirs_part);
            circumstances.of(*ours).map(ours_part).zip(theirs)
        };
        let p50: Vec<f64> = pairs().map(|(ours, theirs)| ours.p50_us / theirs.p50_us).collect();
        let p99 = median(pairs().map(|(ours, theirs)| ours.p99_us / theirs.p99_us));
        let each: Vec<String> = p50.iter().map(|ratio| format!("{ratio:.2}")).collect();
        rows.push_str(&format!(
            "| {circumstances} | {name} | {:.2} | {p99:.2} | {} |\n",
            median(p50.iter().copied()),
            each.join(", "),
        ));
    }
    rows
}

fn footprint_table(footprints: &[Footprint]) -> String {
    let mut table = format!(
        "\n## Memory\n\nWhat the stream's files may hold: the ring's memory file; iceoryx2's files in /dev/shm and in its directory. The ring allocates\n\
        all of it when it is created; iceoryx2's files are sparse, and a page is taken when it is first written. {READERS} readers\n\
        attached in every row, {} MiB a grid. *Late*: by how many grids a reader may be late and still get all of them. The last\n\
        columns are RSS / PSS of the writer and of a reader, each with one grid of its own.\n\n\
        | | most readers | late | files | reserved, MiB | allocated, MiB | grids' worth | writer, MiB | a reader, MiB |\n\
        |---|---|---|---|---|---|---|---|---|\n",
        crate::content::GRID_BYTES >> 20,
    );
    for each in footprints {
        let reserved = each.reserved;
        table.push_str(&format!(
            "| {} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} / {:.1} | {:.1} / {:.1} |\n",
            each.name,
            each.most_readers,
            each.late_grids,
            reserved.files,
            mib(reserved.apparent_bytes),
            mib(reserved.allocated_bytes),
            reserved.apparent_bytes as f64 / crate::content::GRID_BYTES as f64,
            mib(each.writer.rss_bytes),
            mib(each.writer.pss_bytes),
            mib(each.reader.rss_bytes),
            mib(each.reader.pss_bytes),
        ));
    }
    table
}

/// What was allocated after many grids, when readers had been late at times.
fn allocation_table(circumstances: &[Circumstances]) -> String {
    let mut table = String::from(
        "\nAllocated at the end of the runs above, the most of all rounds, MiB:\n\n| | ring | iceoryx2 |\n|---|---|---|\n",
    );
    for each in circumstances {
        let most = |contender| {
            let allocated = each.of(contender).map(|figures| figures.reserved.allocated_bytes);
            mib(allocated.max().unwrap_or_default())
        };
        let (ring, iceoryx2) = (most(Contender::Ring), most(Contender::Iceoryx2));
        table.push_str(&format!("| {each} | {ring:.1} | {iceoryx2:.1} |\n"));
    }
    table
}

fn startup_table(starts: &[(Contender, Starts)], count: usize) -> String {
    let mut table = format!(
        "\n## Start-up\n\n{count} writers each, and one reader of each while a grid is published every 100 ms. iceoryx2 has room for 8 readers as\n\
        late as the ring's, and a history of one grid. p50 / max, ms.\n\n\
        | | create the writer | attach a reader | from nothing to its first copy |\n|---|---|---|---|\n"
    );
    for (contender, starts) in starts {
        let cell = |quantiles: &Quantiles| {
            format!("{:.2} / {:.2}", quantiles.p50_us / 1e3, quantiles.max_us / 1e3)
        };
        table.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            if *contender == Contender::Iceoryx2 { "iceoryx2" } else { "ring" },
            cell(&starts.create),
            cell(&starts.attach),
            cell(&starts.first_grid),
        ));
    }
    table
}

fn users_table(attempts: Option<&[Attempt]>) -> String {
    let mut table = String::from("\n## Another user\n\n");
    let Some(attempts) = attempts else {
        table.push_str("Not tried: the run was not root's.\n");
        return table;
    };
    table.push_str(
        "The writer is an ordinary user, and so is the reader.\n\n| | what happened |\n|---|---|\n",
    );
    for Attempt { name, happened } in attempts {
        let happened = happened.replace('|', "\\|");
        table.push_str(&format!("| {name} | {happened} |\n"));
    }
    table
}

fn cells(rounds: &[Quantiles]) -> String {
    let Quantiles { p50_us, p99_us, max_us } = Quantiles::of_rounds(rounds);
    format!("{p50_us:.0} | {p99_us:.0} | {max_us:.0}")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A figure of a contender.
type Part = fn(&Figures) -> Quantiles;

/// One of the ring's figures over one of iceoryx2's.
struct Ratio {
    name: &'static str,
    ours: Contender,
    ours_part: Part,
    theirs_part: Part,
}

const LATENCY_ROWS: [(&str, Contender, Part); 6] = [
    ("iceoryx2, copied in, copied out (baseline)", Contender::Iceoryx2, |f| f.copied),
    ("ring", Contender::Ring, |f| f.copied),
    ("ring, readers without checksum", Contender::RingUnverified, |f| f.copied),
    ("iceoryx2, in place, copied out", Contender::Iceoryx2, |f| f.written_to_copied),
    ("iceoryx2, copied in, borrowed", Contender::Iceoryx2, |f| f.received),
    ("iceoryx2, in place, borrowed", Contender::Iceoryx2, |f| f.written_to_received),
];

const LATENCY_RATIOS: [Ratio; 4] = [
    Ratio {
        name: "copied in, copied out",
        ours: Contender::Ring,
        ours_part: |f| f.copied,
        theirs_part: |f| f.copied,
    },
    Ratio {
        name: "copied in, copied out; ring's readers without checksum",
        ours: Contender::RingUnverified,
        ours_part: |f| f.copied,
        theirs_part: |f| f.copied,
    },
    Ratio {
        name: "in place, copied out",
        ours: Contender::Ring,
        ours_part: |f| f.copied,
        theirs_part: |f| f.written_to_copied,
    },
    Ratio {
        name: "in place, copied out; ring's readers without checksum",
        ours: Contender::RingUnverified,
        ours_part: |f| f.copied,
        theirs_part: |f| f.written_to_copied,
    },
];

const PUBLISH_ROWS: [(&str, Contender, Part); 5] = [
    ("iceoryx2, all (baseline)", Contender::Iceoryx2, |f| f.publish),
    ("... loan and copy in", Contender::Iceoryx2, |f| f.write),
    ("... send", Contender::Iceoryx2, |f| f.send),
    ("... notify", Contender::Iceoryx2, |f| f.notify),
    ("ring", Contender::Ring, |f| f.publish),
];

const PUBLISH_RATIOS: [Ratio; 1] = [Ratio {
    name: "all",
    ours: Contender::Ring,
    ours_part: |f| f.publish,
    theirs_part: |f| f.publish,
}];

const ICEORYX2: &str = "0.10.0";
const DEV_PERMISSIONS: bool = cfg!(feature = "dev-permissions");
