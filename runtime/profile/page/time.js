// runtime/profile/page/time.js - the code cache and the counters over time.
'use strict';

function cell(c, oldest) {
  const all = c.cold + c.hot + c.dead;
  const fade = oldest ? 1 - 0.65 * (c.age_ms / oldest) : 1;
  const part = (kind, bytes, opacity) => element('i',
    {class: kind, style: `flex:${all ? bytes / all : 0};opacity:${opacity.toFixed(2)}`});
  const div = element('div', {
    title: `${whole(c.hot)} bytes hot, ${whole(c.cold)} cold, ${whole(c.dead)} gone; ${whole(c.age_ms)} ms old`,
  });
  if (all) div.append(part('hot', c.hot, fade), part('cold', c.cold, fade), part('dead', c.dead, 1));
  return div;
}

function drawCache() {
  const picture = profile.cache[Number(byId('cache-time').value)];
  if (!picture) return;
  const sum = (kind) => picture.cells.reduce((total, c) => total + c[kind], 0);
  byId('cache-text').textContent = `${(picture.ms / 1000).toFixed(2)} s: ` +
    `${whole(picture.used_bytes)} of ${whole(picture.capacity_bytes)} bytes in use; ` +
    `${whole(sum('hot'))} hot, ${whole(sum('cold'))} cold, ${whole(sum('dead'))} gone`;
  const oldest = Math.max(0, ...picture.cells.map((c) => c.age_ms));
  byId('cache-map').replaceChildren(...picture.cells.map((c) => cell(c, oldest)));
}

function showCache() {
  const slider = byId('cache-time');
  slider.max = String(Math.max(0, profile.cache.length - 1));
  slider.value = slider.max;
  slider.addEventListener('input', drawCache);
  drawCache();
}

// What explains a slow guest most often comes first.
const kFirstCharts = ['removed: stores', 'blocks invalidated', 'unlinked exits', 'indirect misses', 'link misses',
  'dispatches', 'call-outs', 'interrupts', 'exceptions', 'blocks translated', 'address space changes'];

function chart(series) {
  const ends = profile.timeline.ms;
  const spans = ends.map((end, i) => Math.max(end - (i ? ends[i - 1] : 0), 1));
  const rates = series.values.map((v, i) => (1000 * v) / spans[i]);
  const most = Math.max(...rates, 1e-9);
  const last = ends[ends.length - 1] || 1;
  const points = rates.map((r, i) => `${((100 * ends[i]) / last).toFixed(2)},${(40 - (38 * r) / most).toFixed(2)}`);
  const total = series.values.reduce((sum, v) => sum + v, 0);
  const picture = svg('svg', {viewBox: '0 0 100 40', preserveAspectRatio: 'none'},
    svg('path', {d: `M0,40 L${points.join(' L')} L100,40 Z`}));
  return element('figure', {'data-series': series.name},
    element('figcaption', {}, series.name, element('span', {}, `${whole(total)}, at most ${whole(Math.round(most))}/s`)),
    picture);
}

function showCharts() {
  const place = (name) => { const i = kFirstCharts.indexOf(name); return i < 0 ? kFirstCharts.length : i; };
  const order = [...profile.timeline.series].sort((a, b) => place(a.name) - place(b.name));
  byId('charts').replaceChildren(...order.map(chart));
}

begin();
