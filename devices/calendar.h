// devices/calendar.h - days since 1970 to and from dates of the Gregorian calendar.
#pragma once

#include <cstdint>

namespace ringshift::devices {

struct Date {
  std::int64_t year;
  unsigned month, day;  // from 1
};

constexpr bool is_leap_year(std::int64_t year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

constexpr unsigned days_in_month(std::int64_t year, unsigned month) {
  constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap_year(year) ? 29 : kDays[month - 1];
}

// Days from 0000-01-01 (proleptic) to the first day of the year; years from 0 on.
constexpr std::int64_t days_before_year(std::int64_t year) {
  const std::int64_t last = year - 1;
  return year == 0 ? 0 : year * 365 + last / 4 - last / 100 + last / 400 + 1;
}

// Days since 1970-01-01. A month or a day out of range carries over.
constexpr std::int64_t days_from_date(std::int64_t year, unsigned month, unsigned day) {
  const unsigned months = month == 0 ? 0 : month - 1;
  year += months / 12;
  std::int64_t days = days_before_year(year) - days_before_year(1970);
  for (unsigned m = 1; m <= months % 12; ++m) days += days_in_month(year, m);
  return days + day - 1;
}

constexpr Date date_from_days(std::int64_t days) {
  days += days_before_year(1970);
  std::int64_t year = days / 366;  // never too late
  while (days_before_year(year + 1) <= days) ++year;
  std::int64_t rest = days - days_before_year(year);
  unsigned month = 1;
  for (; rest >= days_in_month(year, month); ++month) rest -= days_in_month(year, month);
  return {year, month, static_cast<unsigned>(rest) + 1};
}

// 0 is Sunday.
constexpr unsigned weekday_from_days(std::int64_t days) {
  return static_cast<unsigned>(((days + 4) % 7 + 7) % 7);
}

static_assert(days_from_date(1970, 1, 1) == 0 && days_from_date(2000, 3, 1) == 11'017);
static_assert(date_from_days(11'016).month == 2 && date_from_days(11'016).day == 29);
static_assert(weekday_from_days(0) == 4);

}  // namespace ringshift::devices
