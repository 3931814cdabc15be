//! One device node: opening it, what it is, and asking it.

use super::abi::{self, Plain, Request};
use super::error::DeviceError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, major, open, stat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};
use std::path::Path;

/// An open V4L2 video capture device.
///
/// Closing (dropping) it gives back everything that the kernel holds for it.
#[derive(Debug)]
pub struct Device {
    descriptor: OwnedFd,
    path: String,
    identity: Identity,
    queue: QueueKind,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The driver: "uvcvideo", "vivid", "tegra-video".
    pub driver: String,
    /// The product: "HD Pro Webcam C920".
    pub card: String,
    /// Where it sits: "usb-0000:00:14.0-1". Empty for drivers that do not say.
    pub bus: String,
    /// What the node is for.
    pub kind: DeviceKind,
    /// Whether the driver has the multi-planar interface.
    pub multi_planar: bool,
}

/// What a V4L2 node is for. A camera often has a second node, for metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Delivers images by streaming.
    Camera,
    /// Delivers images only by `read`, which is not used here.
    CameraWithoutStreaming,
    /// Delivers data about images.
    Metadata,
    /// Takes images.
    Output,
    /// Takes images and gives them back changed: a codec, a scaler.
    MemoryToMemory,
    /// Delivers something else: teletext, radio.
    Other,
}

/// Single- or multi-planar interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueKind {
    SinglePlanar,
    MultiPlanar,
}

impl QueueKind {
    pub(super) fn buffer_type(self) -> u32 {
        match self {
            Self::SinglePlanar => abi::BUF_TYPE_VIDEO_CAPTURE,
            Self::MultiPlanar => abi::BUF_TYPE_VIDEO_CAPTURE_MPLANE,
        }
    }
}

impl Device {
    /// Opens the camera at `path`.
    ///
    /// # Errors
    /// [`DeviceError::Missing`], [`DeviceError::Permission`] with the group that the process should be in,
    /// [`DeviceError::NotACamera`] for any other file and for nodes that deliver no images, [`DeviceError::Busy`] for
    /// drivers that allow one program only.
    pub fn open(path: &Path) -> Result<Self, DeviceError> {
        let (descriptor, identity) = identify(path)?;
        let path = path.display().to_string();
        let not_a_camera =
            |found: &str| DeviceError::NotACamera { device: path.clone(), found: found.to_owned() };
        match identity.kind {
            DeviceKind::Camera => {}
            DeviceKind::CameraWithoutStreaming => {
                return Err(not_a_camera("a camera that cannot stream"));
            }
            DeviceKind::Metadata => {
                return Err(not_a_camera(
                    "the metadata node of a camera (its images come from another node)",
                ));
            }
            DeviceKind::Output => return Err(not_a_camera("a video output device")),
            DeviceKind::MemoryToMemory => return Err(not_a_camera("a codec or scaler")),
            DeviceKind::Other => return Err(not_a_camera("a V4L2 device without images")),
        }
        let queue =
            if identity.multi_planar { QueueKind::MultiPlanar } else { QueueKind::SinglePlanar };
        Ok(Self { descriptor, path, identity, queue })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What it says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn queue_kind(&self) -> QueueKind {
        self.queue
    }

    pub(super) fn call<T: Plain>(
        &self,
        request: &Request<T>,
        argument: &mut T,
    ) -> Result<(), DeviceError> {
        self.try_call(request, argument).map_err(|errno| self.error(request, errno))
    }

    /// As [`Device::call`], for callers to whom some answers are no errors.
    pub(super) fn try_call<T: Plain>(
        &self,
        request: &Request<T>,
        argument: &mut T,
    ) -> Result<(), Errno> {
        abi::call(&self.descriptor, request, argument)
    }

    pub(super) fn error<T>(&self, request: &Request<T>, errno: Errno) -> DeviceError {
        DeviceError::request(&self.path, request.name, errno)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// What the V4L2 node at `path` is, cameras or not.
///
/// # Errors
/// As [`Device::open`], but that any V4L2 device will do.
pub fn inspect(path: &Path) -> Result<Identity, DeviceError> {
    identify(path).map(|(_, identity)| identity)
}

fn identify(path: &Path) -> Result<(OwnedFd, Identity), DeviceError> {
    let device = path.display().to_string();
    let not_a_camera = |found: String| DeviceError::NotACamera { device: device.clone(), found };
    // Looked at before it is opened: opening a pipe, a tape or a watchdog has effects of its own.
    if let Ok(stat) = stat(path) {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::CharacterDevice {
            return Err(not_a_camera(describe_file(kind).to_owned()));
        }
        if !is_video(&stat) {
            let number = major(stat.st_rdev);
            return Err(not_a_camera(format!(
                "a device that does not speak V4L2 (major number {number})"
            )));
        }
    }
    // Should the file be exchanged between the two calls for a terminal, it must not become this process's.
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let descriptor = open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => DeviceError::Missing { device: device.clone() },
        Errno::ACCESS | Errno::PERM => permission(path, &device),
        _ => DeviceError::request(&device, "open", errno),
    })?;
    if let Ok(stat) = fstat(&descriptor)
        && !is_video(&stat)
    {
        return Err(not_a_camera("a file that was exchanged while it was opened".to_owned()));
    }
    let mut capability = abi::Capability::ZERO;
    match abi::call(&descriptor, &abi::QUERYCAP, &mut capability) {
        Ok(()) => Ok((descriptor, identity(&capability))),
        Err(Errno::NOTTY | Errno::INVAL) => {
            Err(not_a_camera("a device that does not speak V4L2".to_owned()))
        }
        Err(errno) => Err(DeviceError::request(&device, abi::QUERYCAP.name, errno)),
    }
}

fn identity(capability: &abi::Capability) -> Identity {
    let of_node = match capability.capabilities & abi::CAP_DEVICE_CAPS {
        0 => capability.capabilities,
        _ => capability.device_caps,
    };
    let has = |flags: u32| of_node & flags != 0;
    let captures = has(abi::CAP_VIDEO_CAPTURE | abi::CAP_VIDEO_CAPTURE_MPLANE);
    let kind = if has(abi::CAP_VIDEO_M2M | abi::CAP_VIDEO_M2M_MPLANE) {
        DeviceKind::MemoryToMemory
    } else if captures && has(abi::CAP_STREAMING) {
        DeviceKind::Camera
    } else if captures {
        DeviceKind::CameraWithoutStreaming
    } else if has(abi::CAP_META_CAPTURE) {
        DeviceKind::Metadata
    } else if has(abi::CAP_VIDEO_OUTPUT | abi::CAP_VIDEO_OUTPUT_MPLANE) {
        DeviceKind::Output
    } else {
        DeviceKind::Other
    };
    Identity {
        driver: text(&capability.driver),
        card: text(&capability.card),
        bus: text(&capability.bus_info),
        kind,
        multi_planar: !has(abi::CAP_VIDEO_CAPTURE) && has(abi::CAP_VIDEO_CAPTURE_MPLANE),
    }
}

/// Bytes of the kernel up to their zero. Control characters, which a device may have in its name, are made visible.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn describe_file(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::BlockDevice => "a block device",
        _ => "another kind of file",
    }
}

/// Whether two paths lead to one device node: `/dev/video0` and a link of udev to it.
pub fn is_same_device(one: &Path, other: &Path) -> bool {
    match (stat(one), stat(other)) {
        (Ok(one), Ok(other)) => is_video(&one) && is_video(&other) && one.st_rdev == other.st_rdev,
        _ => false,
    }
}

/// Whether a node is one of the kernel's video devices (`VIDEO_MAJOR`, linux/Documentation/admin-guide/devices.txt).
fn is_video(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && major(stat.st_rdev) == VIDEO_MAJOR
}

/// Says who may open the node, by name where the machine has names.
fn permission(path: &Path, device: &str) -> DeviceError {
    let stat = stat(path);
    let groups = getgroups().unwrap_or_default();
    let is_member =
        |gid: u32| getegid().as_raw() == gid || groups.iter().any(|group| group.as_raw() == gid);
    let (found, expected, may_change) = match stat {
        // Whoever may by mode and may not all the same is kept away by something else than the mode.
        Ok(stat)
            if geteuid().is_root() || is_member(stat.st_gid) && stat.st_mode & 0o060 == 0o060 =>
        {
            let who = if geteuid().is_root() {
                "the user root".to_owned()
            } else {
                format!("a member of group {}", name_of(stat.st_gid, Path::new("/etc/group")))
            };
            (
                format!("{who}, kept from it by more than its mode"),
                "a device cgroup or a security policy that allows it (systemd: DeviceAllow=char-video4linux rw)"
                    .to_owned(),
                false,
            )
        }
        Ok(stat) if stat.st_mode & 0o060 == 0o060 => {
            let name = name_of(stat.st_gid, Path::new("/etc/group"));
            (
                format!("a process outside group {name}"),
                format!("a member (usermod --append --groups {name} USER)"),
                false,
            )
        }
        Ok(stat) => {
            let name = name_of(stat.st_uid, Path::new("/etc/passwd"));
            (
                format!("a process of another user than {name}"),
                "a node that its group may read and write (a udev rule can allow that)".to_owned(),
                true,
            )
        }
        Err(errno) => (
            format!("a directory that may not be entered ({errno})"),
            "one that this process may enter".to_owned(),
            false,
        ),
    };
    DeviceError::Permission { device: device.to_owned(), found, expected, may_change }
}

/// The name of a user or group in a table of lines `name:password:id:...`; its number where it has none.
fn name_of(id: u32, table: &Path) -> String {
    let named = std::fs::read_to_string(table).ok().and_then(|table| {
        table.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
        })
    });
    named.unwrap_or_else(|| id.to_string())
}

/// The major number of every V4L2 node.
const VIDEO_MAJOR: u32 = 81;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsRawFd;

    /// A watchdog would be armed, a serial line seized. A terminal of our own stands for them.
    #[test]
    fn other_devices_are_not_opened() {
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).expect("a pty");
        rustix::pty::unlockpt(&master).expect("unlocked");
        let name = rustix::pty::ptsname(&master, Vec::new()).expect("its name");
        let path = name.to_str().expect("text");
        for path in ["/dev/null", "/dev/zero", path] {
            let error = inspect(Path::new(path)).expect_err("no camera");
            let message = error.to_string();
            assert!(matches!(error, DeviceError::NotACamera { .. }), "{message}");
            assert!(message.contains(path) && message.contains("major number"), "{message}");
        }
        // Nobody opened the other end: only then does its first reader find a terminal without history (EIO after one).
        let mut ready = [rustix::event::PollFd::new(&master, rustix::event::PollFlags::HUP)];
        let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut ready, Some(&zero)).expect("poll");
        assert!(ready[0].revents().is_empty(), "fd {} was opened", master.as_raw_fd());
    }

    #[test]
    fn one_node_by_two_names_is_one_device() {
        // No video node is needed to see that other files are none.
        assert!(!is_same_device(Path::new("/dev/null"), Path::new("/dev/null")));
        assert!(!is_same_device(Path::new("/dev/null"), Path::new("/dev/none")));
    }

    #[test]
    fn a_refused_node_says_who_may() {
        // Of nobody's directory: the mode is all that is looked at.
        let file = std::env::temp_dir().join(format!("occdepth-node-{}", std::process::id()));
        std::fs::write(&file, "").expect("a file");
        let mode = |bits| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(bits)).expect("chmod");
        };
        mode(0o660);
        let ours = permission(&file, "/dev/video0").to_string();
        mode(0o600);
        let new = permission(&file, "/dev/video0");
        std::fs::remove_file(&file).expect("removed");
        // The file's group is ours: being outside of it is not why.
        assert!(ours.contains("DeviceAllow") && !ours.contains("usermod"), "{ours}");
        let root = geteuid().is_root();
        assert_eq!(matches!(new, DeviceError::Permission { may_change: true, .. }), !root, "{new}");
    }
}
