// tests/run/profile/page_test.js - what a user does to a profile's page, and what it must show then.
// The answer is an attribute of <html>: data-test-passed, or data-test-failed with the reasons.
'use strict';
(async () => {
  const failed = [];
  const check = (name, holds) => { if (!holds) failed.push(name); };
  const settle = () => new Promise((done) => setTimeout(done, 50));
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (selector) => all(selector).map((e) => e.textContent).join(' ');
  const click = async (node) => {
    node.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true, view: window}));
    await settle();
  };
  const tab = (id) => click(all('#tabs button').find((b) => b.dataset.tab === id));
  const filterBy = async (value) => {
    const input = document.getElementById('filter');
    input.value = value;
    input.dispatchEvent(new Event('input', {bubbles: true}));
    await settle();
  };
  try {
    check('a summary that names hot', text('#findings').includes('hot is where most time goes'));
    check('seven tabs', all('#tabs button').length === 7);
    const functions = all('#functions tbody tr').length;
    check('functions', functions >= 2);

    await filterBy('warm');
    const left = all('#functions tbody tr');
    check('the filter leaves one function', left.length === 1 && left[0].textContent.includes('warm'));

    await tab('flame');
    check('the flame graph is drawn', all('#flame-graph div').length >= 3);
    check('the filter marks frames', all('#flame-graph div.found').length >= 1 &&
      all('#flame-graph div.dimmed').length >= 1);
    check('and says how much', /%/.test(text('#flame-found')));
    await filterBy('');
    const frame = all('#flame-graph div').find((d) => d.textContent === 'hot');
    check('a frame of hot', frame);
    if (frame) await click(frame);
    check('a click zooms', /hot: /.test(text('#flame-detail')));

    await tab('blocks');
    const rows = all('#block-list tbody tr');
    check('blocks', rows.length >= 2 && document.querySelector('section[data-tab=blocks]').classList.contains('shown'));
    await click(rows[0]);
    const guest = text('#block-detail .guest');
    const host = text('#block-detail .host');
    check('a click shows the guest code', /imul|dec/.test(guest));
    check('and the host code', /imul|dec/.test(host) && host.length > guest.length);
    check('and its neighbours', all('#block-graph g').length >= 2);
    check('with its whole address', /0x100[0-9a-f]{3}/.test(text('#block-detail h2')));

    await tab('cache');
    check('the cache map', all('#cache-map div').length > 10 && /bytes in use/.test(text('#cache-text')));
    await tab('time');
    check('charts', all('#charts figure').length > 3 && all('#charts path').length > 3);
    await tab('instructions');
    check('the mix', text('#mix').includes('register'));
    await tab('board');
    check('counters', text('#counters').includes('blocks translated'));
  } catch (problem) {
    failed.push(String(problem));
  }
  document.documentElement.setAttribute(failed.length ? 'data-test-failed' : 'data-test-passed',
    failed.join('; ') || 'all');
})();
