// runtime/display/png.cc - pictures through libpng's simplified interface.
#include "runtime/display/png.h"

#include <fmt/format.h>
#include <png.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace ringshift::runtime {
namespace {

tl::expected<void, std::string> write_ppm(const devices::Picture& picture,
                                          const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << picture.width << ' ' << picture.height << "\n255\n";
  file.write(reinterpret_cast<const char*>(picture.rgb.data()),
             static_cast<std::streamsize>(picture.rgb.size()));
  file.flush();
  if (!file) return tl::unexpected(fmt::format("{}: cannot be written", path));
  return {};
}

}  // namespace

tl::expected<void, std::string> write_picture(const devices::Picture& picture,
                                              const std::string& path) {
  if (path.ends_with(".ppm")) return write_ppm(picture, path);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = picture.width;
  image.height = picture.height;
  image.format = PNG_FORMAT_RGB;
  if (!png_image_write_to_file(&image, path.c_str(), 0, picture.rgb.data(), 0, nullptr))
    return tl::unexpected(fmt::format("{}: {}", path, image.message));
  return {};
}

}  // namespace ringshift::runtime
