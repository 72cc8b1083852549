// runtime/drive_options.h - disks on the command line: -drive and its short forms.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "runtime/block/block_image.h"

namespace ringshift::runtime {

struct RunOptions;

enum class DriveInterface { kIde, kVirtio, kFloppy, kPflash, kNone };

struct DriveOptions {
  ImageOptions image;  // no file: a drive without a medium
  DriveInterface interface = DriveInterface::kIde;
  bool cdrom = false;
  std::optional<unsigned> index;  // place on its interface; absent: the next that is free
  std::string id, serial;
};

// The argument of -drive.
tl::expected<void, std::string> add_drive(RunOptions& options, const std::string& text);
// -hda to -hdd, -cdrom, -fda, -fdb.
tl::expected<void, std::string> add_short_drive(RunOptions& options, const std::string& file,
                                                DriveInterface interface, bool cdrom,
                                                std::optional<unsigned> index);
// A -device for a drive that -drive gave if=none: puts it where the device says.
tl::expected<void, std::string> place_drive(RunOptions& options, const std::string& drive_id,
                                            DriveInterface interface, bool cdrom,
                                            std::optional<unsigned> index,
                                            const std::string& serial);
// Gives each drive its place; two in one place is an error, and so is one that nothing uses.
tl::expected<void, std::string> settle_drives(RunOptions& options);

}  // namespace ringshift::runtime
