// A click on anything with data-send="keep", "breed", "walk", "finish" or "open" takes its cover there; the cover is the
// query in data-address of the same element or of one around it, its parents the queries in data-parents.
document.addEventListener('click', event => {
  const button = event.target.closest('[data-send]');
  const holder = button?.closest('[data-address]');
  if (!holder?.dataset.address) return;
  const address = holder.dataset.address, where = button.dataset.send;
  if (where === 'keep' || where === 'walk') say('keep', {address, parents: (holder.dataset.parents ?? '').split(' ').filter(Boolean)});
  if (where !== 'keep') move({tab: where === 'open' ? 'crate' : where, cover: address});
});

// A file dropped anywhere. The head of a PNG made here holds its address, the pixels stay where they are; any other
// picture may be one to look for in the tab Yours.
document.addEventListener('dragover', event => event.dataTransfer.types.includes('Files') && event.preventDefault());
document.addEventListener('drop', async event => {
  const file = event.dataTransfer.files[0];
  if (!file || event.target.closest('[data-takes-files], .upload-container, input')) return;
  event.preventDefault();
  const offer = text => say('tell', {text, does: word('find-it'), act: () => { move({tab: 'yours'}); say('yours', file); }});
  if (['image/jpeg', 'image/webp'].includes(file.type)) return offer(word('offer-yours'));
  const head = new Uint8Array(await file.slice(0, 65536).arrayBuffer());
  const answer = await server.restore(btoa(Array.from(head, byte => String.fromCharCode(byte)).join('')));
  if (!answer.refused) return move({tab: 'crate', cover: answer.address});
  file.type === 'image/png' ? offer(refusal(answer)) : say('complain', refusal(answer));
});
