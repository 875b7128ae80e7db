// measures every frame of the wrapper page and writes what it found into #found
const found = {};
const frames = [...document.querySelectorAll('iframe')];
function measure(frame) {
  const page = frame.contentDocument, root = page.documentElement, width = frame.clientWidth;
  const images = [...page.images];
  const wide = [...page.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    if (box.right <= width + 1 || e.closest('.scroll, pre, nav ul, .skip, .plot')) return false;
    return true;
  }).map(e => e.tagName + '.' + e.className);
  found[width] = {
    scroll: root.scrollWidth, client: root.clientWidth, images: images.length, wide: wide.slice(0, 5),
    broken: images.filter(i => !i.complete || i.naturalWidth === 0).map(i => i.alt),
    text: page.body.innerText.length, title: page.title,
    outside: [...page.querySelectorAll('[src], link[href]')].map(e => e.getAttribute('src') || e.getAttribute('href'))
      .filter(a => !a.startsWith('data:')),
    targets: [...page.querySelectorAll('nav a')].filter(a => !page.querySelector(a.getAttribute('href'))).length,
    firstScreen: [...page.querySelectorAll('h1, .answer')].every(e => e.getBoundingClientRect().bottom < 844),
    hiddenFocus: [...page.querySelectorAll('a, summary, [tabindex], button, select')].filter(e => e.tabIndex < 0).length,
  };
  if (Object.keys(found).length === frames.length)
    document.getElementById('found').textContent = JSON.stringify(found);
}
for (const frame of frames) {
  if (frame.contentDocument && frame.contentDocument.readyState === 'complete' && frame.contentDocument.body.innerText)
    measure(frame);
  else frame.addEventListener('load', () => measure(frame));
}
