// runtime/profile/page/flame.js - the flame graph: stacks merged from their roots, boxes as wide as
// their share.
'use strict';

const kRowHeight = 18;

function makeTree() {
  const root = {name: 'all', samples: 0, children: new Map(), parent: null, depth: 0};
  for (const stack of profile.stacks) {
    let node = root;
    node.samples += stack.samples;
    for (const frame of stack.frames) {
      let child = node.children.get(frame);
      if (!child) {
        child = {name: profile.names[frame], samples: 0, children: new Map(), parent: node, depth: node.depth + 1};
        node.children.set(frame, child);
      }
      node = child;
      node.samples += stack.samples;
    }
  }
  return root;
}

const flameRoot = makeTree();
let flameZoom = flameRoot;

// The same name has the same colour: work of the translator is grey to blue, the guest's warm.
function colour(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.charCodeAt(0)) >>> 0;
  return name.startsWith('[') ? `hsl(${200 + (hash % 40)} 35% ${66 + (hash % 12)}%)`
                              : `hsl(${10 + (hash % 42)} ${68 + (hash % 20)}% ${62 + ((hash >> 8) % 14)}%)`;
}

function box(node, left, width, depth, place) {
  const found = filter !== '' && matches(node.name);
  const classes = found ? 'found' : filter !== '' ? 'dimmed' : '';
  const text = `${node.name}: ${percent(node.samples)}, ${whole(node.samples)} samples`;
  const div = element('div', {
    class: classes, title: text,
    style: `left:${left}px;width:${Math.max(width - 1, 1)}px;top:${place(depth)}px;background:${colour(node.name)}`,
    onclick: () => {
      flameZoom = node === flameZoom && node.parent ? node.parent : node;
      byId('flame-detail').textContent = text;
      drawFlame();
    },
  }, width > 24 ? node.name : '');
  return div;
}

function drawFlame() {
  const graph = byId('flame-graph');
  const width = graph.clientWidth;
  if (width === 0) return;
  const boxes = [];
  let deepest = 0;
  const visit = (node, left, scale, depth) => {
    deepest = Math.max(deepest, depth);
    boxes.push([node, left, node.samples * scale, depth]);
    const children = [...node.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const child of children) {
      if (child.samples * scale >= 1) visit(child, left, scale, depth + 1);
      left += child.samples * scale;
    }
  };
  const above = [];
  for (let node = flameZoom.parent; node; node = node.parent) above.unshift(node);
  for (const [i, node] of above.entries()) boxes.push([node, 0, width, i]);
  visit(flameZoom, 0, width / (flameZoom.samples || 1), above.length);
  const place = (depth) => (deepest - depth) * kRowHeight;
  graph.style.height = `${(deepest + 1) * kRowHeight}px`;
  graph.replaceChildren(...boxes.map(([node, left, w, depth]) => box(node, left, w, depth, place)));
  showFound();
}

// How much of the time has a frame that matches on its stack.
function showFound() {
  if (filter === '') { byId('flame-found').textContent = ''; return; }
  let samples = 0;
  for (const stack of profile.stacks)
    if (stack.frames.some((f) => matches(profile.names[f]))) samples += stack.samples;
  byId('flame-found').textContent = `${percent(samples)} has a frame that matches.`;
}
