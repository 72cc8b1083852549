// runtime/profile/page/blocks.js - blocks: the list, both sides of one, and its neighbours.
'use strict';

const kSvg = 'http://www.w3.org/2000/svg';
let chosenBlock = -1;

const ratio = (block) => (block.guest_bytes ? (block.host_bytes / block.guest_bytes).toFixed(1) : '');
const blockName = (block) => block.function +
  (block.function_offset ? `+${hex(block.function_offset)}` : '');

function showBlockList() {
  const rows = profile.blocks.map((block, number) => ({block, number}))
    .filter(({block}) => matches(block.function, block.module, hex(block.rip), block.tier));
  const columns = [
    ['block', ({block}) => `${hex(block.rip)} ${blockName(block)}`],
    ['self', ({block}) => share(block.samples), 'bar'],
    ['called', ({block}) => percent(block.called), 'number'],
    ['ratio', ({block}) => ratio(block), 'number'],
  ];
  if (profile.run.exact) columns.push(['runs', ({block}) => whole(block.runs), 'number']);
  const list = table(columns, rows, ({number}) => ({
    'data-block': number, class: number === chosenBlock ? 'chosen' : '',
    onclick: () => { location.hash = `blocks/${number}`; },
  }));
  byId('block-list').replaceChildren(
    element('p', {class: 'hint'}, `${rows.length} of ${profile.blocks.length} listed; ` +
      `${whole(profile.blocks_seen)} were seen`), list);
}

function line(text, samples, most, address) {
  const heat = most ? samples / most : 0;
  return element('p', {style: heat ? `background:color-mix(in srgb, var(--hot) ${(70 * heat).toFixed(0)}%, transparent)` : ''},
    element('span', {}, samples ? percent(samples) : ''), element('span', {}, address), element('span', {}, text));
}

// Each guest instruction beside the host code that it became; the cold parts stand behind.
function listings(block) {
  const guestMost = Math.max(1, ...block.guest.map((g) => g.samples + g.called));
  const hostMost = Math.max(1, ...block.host.map((h) => h.samples));
  const offset = (n) => '+' + Number(n).toString(16);
  const host = (lines) => lines.map((h) => line(h.text, h.samples, hostMost, offset(h.offset)));
  const cells = [
    element('div', {class: 'head'}, `guest, ${block.guest_bytes} bytes`),
    element('div', {class: 'head'}, `host, ${block.host_bytes} bytes`),
  ];
  const row = (guest, lines, odd) => cells.push(
    element('div', {class: odd ? 'odd guest' : 'guest'}, ...guest),
    element('div', {class: odd ? 'odd host' : 'host'}, ...host(lines)));
  const first = block.host.filter((h) => h.line < 0);
  if (first.length) row([], first, false);
  block.guest.forEach((g, i) => row([line(g.text, g.samples + g.called, guestMost, offset(g.offset))],
    block.host.filter((h) => h.line === i), i % 2 === 0));
  return element('div', {class: 'listings'}, ...cells);
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(kSvg, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// As much as a box of the graph holds.
function shortened(block) {
  const [name, most] = [blockName(block), 24];
  return `${name.length > most ? name.slice(0, most - 1) + '…' : name} ${percent(block.samples)}`;
}

// Who leads here on the left, where it leads on the right.
function graphAround(number) {
  const block = profile.blocks[number];
  const before = [];
  profile.blocks.forEach((other, i) => other.edges.forEach((e) => {
    if (e.block === number) before.push({block: i, rip: other.rip, kind: e.kind});
  }));
  const [width, height, gap] = [230, 36, 12];
  const rows = Math.max(1, before.length, block.edges.length);
  const all = svg('svg', {width: 3 * width + 180, height: rows * (height + gap) + gap});
  const node = (entry, x, y, here) => {
    const known = entry.block >= 0;
    const group = svg('g', {class: (here ? 'here ' : '') + (known ? 'known' : '')},
      svg('rect', {x, y, width, height, rx: 5}),
      svg('text', {x: x + 8, y: y + 15}, hex(entry.rip)),
      svg('text', {x: x + 8, y: y + 29}, known ? shortened(profile.blocks[entry.block]) : 'not in the list'));
    if (known) group.addEventListener('click', () => { location.hash = `blocks/${entry.block}`; });
    all.append(group);
  };
  const top = (i) => gap + i * (height + gap);
  const middle = (n) => top((n - 1) / 2) + height / 2;
  const centre = middle(rows);
  const edge = (x1, y1, x2, y2, kind) => {
    all.append(svg('path', {d: `M${x1},${y1} C${x1 + 40},${y1} ${x2 - 40},${y2} ${x2},${y2}`}),
      svg('text', {x: (x1 + x2) / 2 - 20, y: (y1 + y2) / 2 - 4, class: 'kind'}, kind));
  };
  before.forEach((entry, i) => {
    node(entry, 4, top(i), false);
    edge(4 + width, top(i) + height / 2, 90 + width, centre, entry.kind);
  });
  node({block: number, rip: block.rip}, 90 + width, centre - height / 2, true);
  block.edges.forEach((entry, i) => {
    edge(90 + 2 * width, centre, 176 + 2 * width, top(i) + height / 2, entry.kind);
    node(entry, 176 + 2 * width, top(i), false);
  });
  return element('div', {id: 'block-graph'}, all);
}

function showBlock(number) {
  const block = profile.blocks[number];
  if (!block) return;
  chosenBlock = number;
  showBlockList();
  const facts = [`${block.mode}`, `physical ${hex(block.physical)}`, `expansion ${ratio(block)}`,
    `${percent(block.samples)} in it, ${percent(block.called)} in what it called`];
  if (profile.run.exact) facts.push(`${whole(block.runs)} runs`);
  if (block.removed) facts.push('made anew since, or gone');
  byId('block-detail').replaceChildren(
    element('h2', {}, `${hex(block.rip)} ${blockName(block)} `, element('span', {class: `tier-${block.tier}`}, block.tier)),
    element('p', {class: 'hint'}, facts.join(', ')), listings(block),
    element('h2', {}, 'Around it'), graphAround(number));
}
