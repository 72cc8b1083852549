// runtime/drive_options.cc - which disk goes where.
#include "runtime/drive_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "runtime/option_values.h"
#include "runtime/options.h"

namespace ringshift::runtime {
namespace {

using Status = tl::expected<void, std::string>;

constexpr unsigned kIdePlaces = 4, kFloppyPlaces = 2, kPflashPlaces = 2, kVirtioPlaces = 16;
constexpr unsigned kFirstCdPlace = 2;  // where -cdrom goes: the second channel's first drive

tl::unexpected<std::string> failed(std::string why) { return tl::unexpected(std::move(why)); }

tl::expected<bool, std::string> take_switch(KeyValues& words, const char* key, bool otherwise) {
  const auto text = words.take(key);
  if (!text) return otherwise;
  if (*text == "on" || *text == "true") return true;
  if (*text == "off" || *text == "false") return false;
  return failed(fmt::format("{}= is on or off", key));
}

unsigned places_of(DriveInterface interface) {
  switch (interface) {
    case DriveInterface::kIde:
      return kIdePlaces;
    case DriveInterface::kFloppy:
      return kFloppyPlaces;
    case DriveInterface::kPflash:
      return kPflashPlaces;
    default:
      return kVirtioPlaces;
  }
}

const char* name_of(DriveInterface interface) {
  switch (interface) {
    case DriveInterface::kIde:
      return "ide";
    case DriveInterface::kFloppy:
      return "floppy";
    case DriveInterface::kVirtio:
      return "virtio";
    case DriveInterface::kPflash:
      return "pflash";
    default:
      return "none";
  }
}

Status take_interface(KeyValues& words, DriveOptions& drive) {
  const auto text = words.take("if").value_or("ide");
  for (const auto interface :
       {DriveInterface::kIde, DriveInterface::kVirtio, DriveInterface::kFloppy,
        DriveInterface::kPflash, DriveInterface::kNone})
    if (text == name_of(interface)) {
      drive.interface = interface;
      return {};
    }
  return failed("if= is ide, virtio, floppy, pflash or none");
}

// What QEMU tunes here is as it should be, or is the host's affair.
Status take_tuning(KeyValues& words) {
  const auto cache = words.take("cache");
  if (cache && *cache != "writeback" && *cache != "none" && *cache != "unsafe" &&
      *cache != "writethrough")
    return failed("cache= is writeback, none, writethrough or unsafe");
  if (cache && (*cache == "writethrough" || *cache == "unsafe"))
    return failed(
        fmt::format("cache={} is not supported: flushes of the guest reach the disk, and "
                    "nothing else does",
                    *cache));
  for (const auto* key : {"aio", "discard", "detect-zeroes", "rerror", "werror"}) words.take(key);
  return {};
}

}  // namespace

Status add_drive(RunOptions& options, const std::string& text) {
  KeyValues words(text, false);
  DriveOptions drive;
  drive.image.file = words.take("file").value_or("");
  drive.image.format = words.take("format").value_or("");
  drive.id = words.take("id").value_or("");
  drive.serial = words.take("serial").value_or("");
  if (auto taken = take_interface(words, drive); !taken) return taken;
  if (auto taken = take_tuning(words); !taken) return taken;
  const auto media = words.take("media").value_or("disk");
  if (media != "disk" && media != "cdrom") return failed("media= is disk or cdrom");
  drive.cdrom = media == "cdrom";
  const auto read_only = take_switch(words, "readonly", drive.cdrom);
  const auto snapshot = take_switch(words, "snapshot", false);
  if (!read_only) return failed(read_only.error());
  if (!snapshot) return failed(snapshot.error());
  drive.image.read_only = *read_only || drive.cdrom;
  drive.image.snapshot = *snapshot;
  const auto index = words.take_number("index");
  const auto bus = words.take_number("bus"), unit = words.take_number("unit");
  for (const auto* number : {&index, &bus, &unit})
    if (!*number) return failed(number->error());
  if (*index) drive.index = static_cast<unsigned>(**index);
  if (*bus || *unit) drive.index = static_cast<unsigned>(bus->value_or(0) * 2 + unit->value_or(0));
  if (drive.image.file.empty() && !drive.cdrom && drive.interface != DriveInterface::kFloppy)
    return failed("file= is missing");
  options.drives.push_back(drive);
  return words.finish();
}

Status add_short_drive(RunOptions& options, const std::string& file, DriveInterface interface,
                       bool cdrom, std::optional<unsigned> index) {
  if (file.empty()) return failed("the file's name is empty");
  DriveOptions drive;
  drive.image.file = file;
  drive.image.read_only = cdrom;
  drive.interface = interface;
  drive.cdrom = cdrom;
  drive.index = index;
  options.drives.push_back(drive);
  return {};
}

Status place_drive(RunOptions& options, const std::string& drive_id, DriveInterface interface,
                   bool cdrom, std::optional<unsigned> index, const std::string& serial) {
  const auto found = std::ranges::find_if(options.drives, [&](const DriveOptions& drive) {
    return drive.interface == DriveInterface::kNone && drive.id == drive_id;
  });
  if (drive_id.empty() || found == options.drives.end())
    return failed(fmt::format("there is no -drive if=none,id={} before it", drive_id));
  found->interface = interface;
  found->cdrom = found->cdrom || cdrom;
  found->image.read_only = found->image.read_only || cdrom;
  found->index = index;
  if (!serial.empty()) found->serial = serial;
  return {};
}

Status settle_drives(RunOptions& options) {
  std::set<std::pair<DriveInterface, unsigned>> taken;
  const auto take = [&](const DriveOptions& drive, unsigned index) {
    return index < places_of(drive.interface) && taken.insert({drive.interface, index}).second;
  };
  for (DriveOptions& drive : options.drives) {
    if (options.snapshot && !drive.cdrom) drive.image.snapshot = true;
    if (drive.interface == DriveInterface::kNone)
      return failed(fmt::format("-drive id={}: no -device uses it", drive.id));
    if (drive.index && !take(drive, *drive.index))
      return failed(fmt::format("-drive {}: place {} of {} is taken or does not exist",
                                drive.image.file, *drive.index, name_of(drive.interface)));
  }
  for (DriveOptions& drive : options.drives) {
    if (drive.index) continue;
    unsigned index = drive.cdrom && drive.interface == DriveInterface::kIde ? kFirstCdPlace : 0;
    while (index < places_of(drive.interface) && !take(drive, index)) ++index;
    if (index == places_of(drive.interface))
      return failed(fmt::format("-drive {}: no more places on {}", drive.image.file,
                                name_of(drive.interface)));
    drive.index = index;
  }
  return {};
}

}  // namespace ringshift::runtime
