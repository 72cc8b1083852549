// devices/vga_screen.cc - from registers and video memory to pixels.
#include "devices/vga_screen.h"

#include <algorithm>

namespace ringshift::devices {
namespace {

// CRT controller registers.
constexpr unsigned kHorizontalEnd = 0x01, kOverflow = 0x07, kMaxScanLine = 0x09,
                   kCursorStart = 0x0a, kCursorEnd = 0x0b, kStartHigh = 0x0c, kStartLow = 0x0d,
                   kCursorHigh = 0x0e, kCursorLow = 0x0f, kVerticalEnd = 0x12, kOffset = 0x13,
                   kModeControl = 0x17;
// Graphics controller and attribute controller registers.
constexpr unsigned kGraphicsMode = 5, kGraphicsMisc = 6;
constexpr unsigned kAttributeMode = 0x10, kPlaneEnable = 0x12, kColorSelect = 0x14;

constexpr unsigned kMostWidth = 2560, kMostHeight = 1600;
constexpr unsigned kFontRows = 32;

struct Shape {
  unsigned columns, rows;      // of characters or, in graphics, of 8 pixels and of lines
  unsigned scan_lines;         // of one row
  std::uint32_t start, pitch;  // in addresses of the planes
};

Shape shape_of(const Vga& v) {
  const unsigned overflow = v.crtc(kOverflow);
  const unsigned lines =
      (v.crtc(kVerticalEnd) | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1u;
  const unsigned scan_lines = (v.crtc(kMaxScanLine) & 0x1f) + 1u;
  // Double scanning shows every line twice.
  const unsigned repeat = v.crtc(kMaxScanLine) & 0x80 ? 2 : 1;
  Shape s;
  s.columns = v.crtc(kHorizontalEnd) + 1u;
  s.scan_lines = scan_lines;
  s.rows = std::max(1u, std::min(lines, kMostHeight) / (scan_lines * repeat));
  s.start = v.crtc(kStartHigh) << 8 | v.crtc(kStartLow);
  s.pitch = v.crtc(kOffset) * 2u;
  return s;
}

bool is_text(const Vga& v) { return !v.extension_on() && !(v.graphics(kGraphicsMisc) & 1); }

std::uint8_t plane_byte(const Vga& v, std::uint32_t address, unsigned plane) {
  const std::size_t at = std::size_t{address} * 4 + plane;
  return at < v.memory().size() ? v.memory()[at] : 0;
}

class Canvas {
 public:
  Canvas(const Vga& vga, unsigned width, unsigned height) : vga_(vga) {
    picture.width = std::clamp(width, 1u, kMostWidth);
    picture.height = std::clamp(height, 1u, kMostHeight);
    picture.rgb.resize(std::size_t{picture.width} * picture.height * 3);
    for (unsigned i = 0; i < colors_.size(); ++i) colors_[i] = vga.palette(i);
  }
  void set(unsigned x, unsigned y, const std::array<std::uint8_t, 3>& color) {
    if (x >= picture.width || y >= picture.height) return;
    std::copy(color.begin(), color.end(),
              picture.rgb.begin() +
                  static_cast<std::ptrdiff_t>((std::size_t{y} * picture.width + x) * 3));
  }
  void set_index(unsigned x, unsigned y, unsigned index) { set(x, y, colors_[index & 0xff]); }
  // Four bits through the attribute controller's palette.
  void set_attribute(unsigned x, unsigned y, unsigned four_bits) {
    four_bits &= vga_.attribute(kPlaneEnable) & 15u;
    const unsigned entry = vga_.attribute(four_bits), select = vga_.attribute(kColorSelect);
    const bool p54 = vga_.attribute(kAttributeMode) & 0x80;
    const unsigned low = p54 ? (entry & 15) | (select & 3) << 4 : entry & 63;
    set_index(x, y, low | (select & 12) << 4);
  }
  Picture picture;

 private:
  const Vga& vga_;
  std::array<std::array<std::uint8_t, 3>, 256> colors_;
};

// --- Text ---

void draw_cell(const Vga& v, Canvas& canvas, const Shape& s, unsigned column, unsigned row,
               unsigned cell_width) {
  const std::uint32_t at = s.start + row * s.pitch + column;
  const unsigned code = plane_byte(v, at, 0), attribute = plane_byte(v, at, 1);
  const bool blinks = v.attribute(kAttributeMode) & 8;
  const unsigned front = attribute & 15, back = attribute >> 4 & (blinks ? 7 : 15);
  const unsigned cursor = v.crtc(kCursorHigh) << 8 | v.crtc(kCursorLow);
  const unsigned first = v.crtc(kCursorStart) & 0x1f, last = v.crtc(kCursorEnd) & 0x1f;
  const bool has_cursor = at == cursor && !(v.crtc(kCursorStart) & 0x20);
  for (unsigned y = 0; y < s.scan_lines; ++y) {
    const unsigned bits = plane_byte(v, code * kFontRows + y, 2);
    const bool all = has_cursor && y >= first && y <= last;
    for (unsigned x = 0; x < cell_width; ++x) {
      // The ninth column repeats the eighth in line-drawing characters.
      const bool line_character = code >= 0xc0 && code <= 0xdf;
      const bool set = x < 8 ? bits >> (7 - x) & 1 : line_character && (bits & 1);
      canvas.set_attribute(column * cell_width + x, row * s.scan_lines + y,
                           all || set ? front : back);
    }
  }
}

Picture draw_text(const Vga& v) {
  const Shape s = shape_of(v);
  const unsigned cell_width = v.sequencer(1) & 1 ? 8 : 9;
  Canvas canvas(v, s.columns * cell_width, s.rows * s.scan_lines);
  for (unsigned row = 0; row < s.rows; ++row)
    for (unsigned column = 0; column < s.columns; ++column)
      draw_cell(v, canvas, s, column, row, cell_width);
  return std::move(canvas.picture);
}

// --- Graphics of the VGA ---

// CGA modes put odd lines 8 KiB further: bits of the row counter replace address bits 13 and 14.
std::uint32_t with_row_bits(const Vga& v, std::uint32_t address, unsigned row_scan) {
  const unsigned control = v.crtc(kModeControl);
  if (!(control & 1)) address = (address & ~0x2000u) | (row_scan & 1) << 13;
  if (!(control & 2)) address = (address & ~0x4000u) | (row_scan >> 1 & 1) << 14;
  return address;
}

Picture draw_planes(const Vga& v) {
  Shape s = shape_of(v);
  const bool packed256 = v.graphics(kGraphicsMode) & 0x40;
  const bool interleaved = v.graphics(kGraphicsMode) & 0x20;  // CGA's two bits a pixel
  const bool row_scans = (v.crtc(kModeControl) & 3) != 3;
  // Rows of two identical lines are one; rows that CGA interleaves are not.
  const unsigned height = row_scans ? s.rows * s.scan_lines : s.rows;
  const unsigned width = packed256 ? s.columns * 4 : s.columns * 8;
  Canvas canvas(v, width, height);
  for (unsigned y = 0; y < height; ++y) {
    const unsigned row = row_scans ? y / s.scan_lines : y;
    const unsigned scan = row_scans ? y % s.scan_lines : 0;
    const std::uint32_t line = s.start + row * s.pitch;
    for (unsigned x = 0; x < width; ++x) {
      if (packed256) {
        canvas.set_index(x, y, plane_byte(v, line + x / 4, x % 4));
      } else if (interleaved) {
        // Bytes alternate between planes 0 and 1, as odd/even addressing stored them.
        const std::uint32_t byte = x / 4;
        const std::uint32_t at = with_row_bits(v, line * 2 + byte, scan) / 2;
        const unsigned bits = plane_byte(v, at, byte & 1) >> (6 - 2 * (x & 3)) & 3;
        canvas.set_attribute(x, y, bits);
      } else {
        const std::uint32_t at = with_row_bits(v, line + x / 8, scan);
        unsigned four = 0;
        for (unsigned p = 0; p < 4; ++p) four |= (plane_byte(v, at, p) >> (7 - (x & 7)) & 1u) << p;
        canvas.set_attribute(x, y, four);
      }
    }
  }
  return std::move(canvas.picture);
}

// --- The Bochs extension ---

std::array<std::uint8_t, 3> true_color(std::uint32_t pixel, unsigned bits) {
  const auto scale = [pixel](unsigned shift, unsigned width) {
    const unsigned v = pixel >> shift & ((1u << width) - 1);
    return static_cast<std::uint8_t>(v << (8 - width) | v >> (2 * width - 8));
  };
  if (bits == 15) return {scale(10, 5), scale(5, 5), scale(0, 5)};
  if (bits == 16) return {scale(11, 5), scale(5, 6), scale(0, 5)};
  return {static_cast<std::uint8_t>(pixel >> 16), static_cast<std::uint8_t>(pixel >> 8),
          static_cast<std::uint8_t>(pixel)};
}

Picture draw_extension(const Vga& v) {
  const unsigned width = v.dispi(Dispi::kWidth), height = v.dispi(Dispi::kHeight),
                 bits = v.dispi(Dispi::kBitsPerPixel);
  Canvas canvas(v, width, height);
  const auto memory = v.memory();
  const unsigned bytes = (bits + 7) / 8;
  for (unsigned y = 0; y < height; ++y) {
    const std::size_t line = v.extension_start() + std::size_t{y} * v.extension_pitch();
    for (unsigned x = 0; x < width; ++x) {
      if (bits == 4) {
        unsigned four = 0;
        for (unsigned p = 0; p < 4; ++p)
          four |= (plane_byte(v, static_cast<std::uint32_t>(line + x / 8), p) >> (7 - (x & 7)) & 1u)
                  << p;
        canvas.set_attribute(x, y, four);
        continue;
      }
      const std::size_t at = line + std::size_t{x} * bytes;
      if (at + bytes > memory.size()) continue;
      std::uint32_t pixel = 0;
      for (unsigned i = 0; i < bytes; ++i) pixel |= std::uint32_t{memory[at + i]} << (8 * i);
      if (bits == 8)
        canvas.set_index(x, y, pixel);
      else
        canvas.set(x, y, true_color(pixel, bits));
    }
  }
  return std::move(canvas.picture);
}

}  // namespace

Picture draw_screen(const Vga& vga) {
  if (vga.extension_on()) return draw_extension(vga);
  const bool blanked = !vga.screen_on() || (vga.sequencer(1) & 0x20);
  if (blanked) return Canvas(vga, 640, 400).picture;
  return is_text(vga) ? draw_text(vga) : draw_planes(vga);
}

std::vector<std::string> screen_text(const Vga& vga) {
  if (!is_text(vga) || !vga.screen_on()) return {};
  const Shape s = shape_of(vga);
  std::vector<std::string> rows;
  for (unsigned row = 0; row < s.rows; ++row) {
    std::string text;
    for (unsigned column = 0; column < s.columns; ++column) {
      const std::uint8_t code = plane_byte(vga, s.start + row * s.pitch + column, 0);
      text += code == 0 ? ' ' : code >= 0x20 && code < 0x7f ? static_cast<char>(code) : '?';
    }
    text.erase(text.find_last_not_of(' ') + 1);
    rows.push_back(std::move(text));
  }
  return rows;
}

}  // namespace ringshift::devices
