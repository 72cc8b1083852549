// runtime/profile/page/page.js - the page's data, its tables, tabs and filter.
'use strict';

const profile = JSON.parse(document.getElementById('profile').textContent);
const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'onclick') node.addEventListener('click', value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const share = (samples) => (profile.run.samples ? samples / profile.run.samples : 0);
const percent = (samples) => `${(100 * share(samples)).toFixed(share(samples) < 0.001 ? 2 : 1)}%`;
// Addresses are texts already: numbers would lose their low bits.
const hex = (n) => (typeof n === 'string' ? n : '0x' + n.toString(16));
const whole = (n) => Number(n).toLocaleString('en');

// Columns: [title, cell(row), kind]; kind is 'number', 'bar' (the cell is a share) or nothing.
function table(columns, rows, attributes = () => ({})) {
  const head = element('tr', {}, ...columns.map(([title, , kind]) =>
    element('th', kind ? {class: 'number'} : {}, title)));
  const body = rows.map((row) => element('tr', attributes(row), ...columns.map(([, cell, kind]) => {
    const value = cell(row);
    if (kind !== 'bar') return element('td', kind ? {class: kind} : {}, String(value));
    const bar = element('i', {style: `width:${(100 * value).toFixed(2)}%`});
    return element('td', {class: 'bar number'}, bar, `${(100 * value).toFixed(1)}%`);
  })));
  return element('table', {}, element('thead', {}, head), element('tbody', {}, ...body));
}

// --- Filter ----------------------------------------------------------------------------------------

let filter = '';
const matches = (...texts) => filter === '' || texts.some((t) => String(t).toLowerCase().includes(filter));

// --- Tables ----------------------------------------------------------------------------------------

function showRun() {
  const run = profile.run;
  byId('run').textContent =
    `${whole(run.samples)} samples at ${run.hz} Hz in ${run.wall_seconds.toFixed(2)} s, ` +
    `${run.cpu_seconds.toFixed(2)} s of processor time, ${run.idle_seconds.toFixed(2)} s idle` +
    (run.kernel ? `. ${run.kernel}` : '') +
    ` (${run.program}, ${new Date(run.began * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC)` +
    (run.ended ? '. The guest ended during the recording.' : '');
}

function showSummary() {
  byId('findings').replaceChildren(...profile.summary.map((f) => element('li', {},
    element('span', {class: 'count'}, (f.share > 0 ? `${(100 * f.share).toFixed(1)}% · ` : '') + whole(f.count)),
    element('b', {}, f.title), f.text, element('em', {}, f.advice))));
  byId('work').replaceChildren(table([
    ['time', (s) => share(s.samples), 'bar'],
    ['at', (s) => (s.detail ? `${s.kind}: ${s.detail}` : s.kind)],
  ], profile.activities.slice(0, 30)));
  byId('processes').replaceChildren(table([
    ['time', (p) => share(p.samples), 'bar'], ['user', (p) => percent(p.user), 'number'],
    ['name', (p) => p.comm || '?'], ['CR3', (p) => hex(p.cr3), 'number'],
  ], profile.processes.filter((p) => matches(p.comm, hex(p.cr3))).slice(0, 30)));
  showFunctions();
}

function showFunctions() {
  const rows = profile.functions.filter((f) => matches(f.name, f.module));
  byId('functions').replaceChildren(table([
    ['self', (f) => share(f.self), 'bar'], ['in its code', (f) => percent(f.guest), 'number'],
    ['with callees', (f) => percent(f.total), 'number'], ['function', (f) => f.name],
    ['of', (f) => f.module || (f.user ? 'user' : '')],
  ], rows.slice(0, 200)));
}

function showInstructions() {
  byId('mix-title').textContent = profile.run.exact ? 'Instructions that ran' : 'Time by kind of instruction';
  const all = profile.mix.reduce((sum, c) => sum + c.value, 0) || 1;
  byId('mix').replaceChildren(table([
    ['', (c) => c.value / all, 'bar'], ['kind', (c) => c.name], ['', (c) => whole(c.value), 'number'],
  ], profile.mix));
  const columns = [['instruction', (s) => s.name], ['call-outs', (s) => whole(s.call_outs), 'number'],
    ['quick', (s) => whole(s.quick), 'number']];
  if (profile.run.exact) columns.push(['ran', (s) => whole(s.executed), 'number']);
  byId('sensitive').replaceChildren(table(columns, profile.sensitive));
}

function showBoard() {
  const count = (id, rows, title) => byId(id).replaceChildren(
    table([[title, (c) => c.name], ['times', (c) => whole(c.value), 'number']], rows));
  byId('ports').replaceChildren(table([
    ['port', (p) => hex(p.port)], ['device', (p) => p.device], ['reads', (p) => whole(p.reads), 'number'],
    ['writes', (p) => whole(p.writes), 'number'],
  ], profile.ports));
  byId('devices').replaceChildren(table([
    ['page', (d) => hex(d.address)], ['device', (d) => d.device], ['accesses', (d) => whole(d.accesses), 'number'],
  ], profile.devices));
  byId('written').replaceChildren(table([
    ['page', (w) => hex(w.page)], ['code', (w) => w.code], ['written by', (w) => w.writer],
    ['blocks lost', (w) => whole(w.blocks), 'number'],
  ], profile.written_pages));
  count('exceptions', profile.exceptions, 'vector');
  count('interrupts', profile.interrupts, 'vector');
  count('counters', profile.counters.filter((c) => c.value), 'counter');
}

// --- Tabs, and what the address bar says ---------------------------------------------------------------

const sections = [...document.querySelectorAll('main > section')];

function showTab(id) {
  for (const section of sections) section.classList.toggle('shown', section.dataset.tab === id);
  for (const button of byId('tabs').children)
    button.setAttribute('aria-selected', String(button.dataset.tab === id));
  if (id === 'flame') drawFlame();
}

function makeTabs() {
  byId('tabs').replaceChildren(...sections.map((section) => element('button', {
    role: 'tab', 'data-tab': section.dataset.tab, onclick: () => { location.hash = section.dataset.tab; },
  }, section.dataset.title)));
}

// "#blocks", "#blocks/3": a tab, and a block in it.
function followAddress() {
  const [tab, block] = location.hash.slice(1).split('/');
  showTab(sections.some((s) => s.dataset.tab === tab) ? tab : 'summary');
  if (tab === 'blocks' && block !== undefined) showBlock(Number(block));
}

function applyFilter() {
  filter = byId('filter').value.trim().toLowerCase();
  showSummary();
  showBlockList();
  drawFlame();
}

function begin() {
  showRun();
  makeTabs();
  showInstructions();
  showBoard();
  showCache();
  showCharts();
  applyFilter();
  byId('filter').addEventListener('input', applyFilter);
  window.addEventListener('hashchange', followAddress);
  window.addEventListener('resize', drawFlame);
  followAddress();
}
