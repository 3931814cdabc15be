//! Our side.

use crate::contender::{Arrival, Failure, GridReader, GridWriter, Meeting, PublishCost, failed};
use crate::content::DIMS;
use occdepth_ring::{
    Access, Axes, Grid, GridGeometry, GridRecord, ReadError, Reader, ReaderOptions,
    RectifiedCamera, StreamDescription, Writer, WriterOptions, monotonic_now_ns,
};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) struct RingWriter(Writer);

impl RingWriter {
    /// Offers a stream of `slots` slots; where an `allowed_uid` is named, everybody may connect, and
    /// that user is given the segment besides the usual.
    pub(crate) fn create(
        meeting: &Meeting,
        slots: u32,
        allowed_uid: Option<u32>,
    ) -> Result<Self, Failure> {
        let options = WriterOptions {
            slot_count: slots,
            socket_mode: if allowed_uid.is_some() { 0o666 } else { 0o660 },
            access: Access { uids: allowed_uid.into_iter().collect(), ..Access::default() },
            ..WriterOptions::new(socket(meeting))
        };
        let writer = Writer::create(&description(), &options);
        Ok(Self(writer.map_err(|error| failed("create the writer", &error))?))
    }
}

impl GridWriter for RingWriter {
    fn publish(&mut self, frame: u64, labels: &[u8]) -> Result<PublishCost, Failure> {
        let started_ns = monotonic_now_ns();
        let record = GridRecord {
            frame_id: frame,
            left_capture_time_ns: started_ns,
            ..GridRecord::default()
        };
        self.0.publish(&record, labels, None)?;
        let total_ns = monotonic_now_ns() - started_ns;
        Ok(PublishCost { total_ns, ..PublishCost::default() })
    }
}

pub(crate) struct RingReader {
    reader: Reader,
    grid: Grid,
}

impl RingReader {
    pub(crate) fn connect(meeting: &Meeting, verify_checksum: bool) -> Result<Self, Failure> {
        let options = ReaderOptions { verify_checksum, ..ReaderOptions::default() };
        let reader = Reader::connect(socket(meeting), &options)
            .map_err(|error| failed("connect", &error))?;
        Ok(Self { reader, grid: Grid::new() })
    }
}

impl GridReader for RingReader {
    fn next(&mut self) -> Result<Arrival, Failure> {
        loop {
            match self.reader.next(&mut self.grid, PATIENCE) {
                Ok(Some(_)) => break,
                // What was missed shows in the frames' numbers, for all contenders alike.
                Err(ReadError::Lapped { .. }) => {}
                Ok(None) => return Err(format!("no grid within {PATIENCE:?}").into()),
                Err(error) => return Err(failed("read", &error)),
            }
        }
        let copied_ns = monotonic_now_ns();
        let record = &self.grid.published.record;
        let started_ns = record.left_capture_time_ns;
        Ok(Arrival {
            frame: record.frame_id,
            started_ns,
            written_ns: started_ns,
            received_ns: copied_ns,
            copied_ns,
        })
    }

    fn labels(&self) -> &[u8] {
        &self.grid.labels
    }
}

fn socket(meeting: &Meeting) -> PathBuf {
    meeting.directory.join("grids.sock")
}

fn description() -> StreamDescription {
    StreamDescription {
        stream: "bench".into(),
        producer: "ring beside iceoryx2".into(),
        grid: GridGeometry {
            axes: Axes::ForwardLeftUp,
            frame: "ego".into(),
            origin_m: [0.0, -25.6, -2.0],
            voxel_size_m: 0.2,
            dims: DIMS,
        },
        rectified_from_ego: [
            [0.0, -1.0, 0.0, 0.0],
            [0.0, 0.0, -1.0, 0.0],
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ],
        rectified: RectifiedCamera {
            fx_px: 700.0,
            fy_px: 700.0,
            cx_px: 600.0,
            cy_px: 180.0,
            width_px: 1220,
            height_px: 370,
        },
        classes: Vec::new(),
        confidence: false,
        trained: false,
        network_sha256: [0; 32],
        engine_sha256: [0; 32],
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
