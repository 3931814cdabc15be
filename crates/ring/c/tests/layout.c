// The layout of every structure on 64-bit machines, written out: a program that was compiled against an older header of the
// same soname must go on to work.
#include <occdepth_ring.h>
#include <stddef.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)

SIZE(OccdepthStatus, 4);
SIZE(OccdepthOptions, 48);
AT(OccdepthOptions, verify_checksum, 1);
AT(OccdepthOptions, handshake_timeout_ms, 4);
AT(OccdepthOptions, expected_uid, 8);
AT(OccdepthOptions, reserved, 16);
SIZE(OccdepthFollowed, 64);
AT(OccdepthFollowed, epoch, 8);
AT(OccdepthFollowed, missed, 16);
AT(OccdepthFollowed, restarted, 24);
AT(OccdepthFollowed, reserved, 32);
SIZE(OccdepthWriterStatus, 56);
AT(OccdepthWriterStatus, health, 8);
AT(OccdepthWriterStatus, degradation, 16);
AT(OccdepthWriterStatus, reserved, 24);
SIZE(OccdepthClass, 61);
AT(OccdepthClass, colour, 1);
AT(OccdepthClass, name, 4);
SIZE(OccdepthDescription, 4456);
AT(OccdepthDescription, stream, 8);
AT(OccdepthDescription, producer, 73);
AT(OccdepthDescription, frame, 138);
AT(OccdepthDescription, axes, 172);
AT(OccdepthDescription, dims, 176);
AT(OccdepthDescription, origin_m, 192);
AT(OccdepthDescription, voxel_size_m, 216);
AT(OccdepthDescription, rectified_from_ego, 224);
AT(OccdepthDescription, fx_px, 352);
AT(OccdepthDescription, width_px, 384);
AT(OccdepthDescription, class_count, 392);
AT(OccdepthDescription, classes, 396);
AT(OccdepthDescription, confidence, 4300);
AT(OccdepthDescription, network_sha256, 4302);
AT(OccdepthDescription, engine_sha256, 4334);
AT(OccdepthDescription, slot_count, 4368);
AT(OccdepthDescription, writer_uid, 4380);
AT(OccdepthDescription, writer_pid, 4384);
AT(OccdepthDescription, reserved, 4392);
SIZE(OccdepthGridInfo, 232);
AT(OccdepthGridInfo, wall_offset_ns, 48);
AT(OccdepthGridInfo, capture_ns, 64);
AT(OccdepthGridInfo, publish_ns, 104);
AT(OccdepthGridInfo, health, 112);
AT(OccdepthGridInfo, calibration, 116);
AT(OccdepthGridInfo, degradation, 120);
AT(OccdepthGridInfo, epipolar_error_px, 128);
AT(OccdepthGridInfo, focal_error, 152);
AT(OccdepthGridInfo, checksum, 160);
AT(OccdepthGridInfo, reserved, 168);
SIZE(OccdepthVoxel, 16);
AT(OccdepthVoxel, label, 12);
SIZE(OccdepthPoint, 32);
AT(OccdepthPoint, label, 24);
SIZE(OccdepthRay, 56);
AT(OccdepthRay, at_most_m, 48);
SIZE(OccdepthRayEnd, 40);
AT(OccdepthRayEnd, label, 4);
AT(OccdepthRayEnd, voxel, 8);
AT(OccdepthRayEnd, from_m, 24);
AT(OccdepthRayEnd, to_m, 32);
_Static_assert(OCCDEPTH_STATUS_SYSTEM == -8 && OCCDEPTH_STATUS_TIMEOUT == 1, "statuses");
_Static_assert(OCCDEPTH_RAY_END_KIND_UNKNOWN == 3 && OCCDEPTH_MEANING_OCCUPIED == 2, "codes");

int main(void) { return 0; }
