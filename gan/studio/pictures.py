"""How one cover is shown large: in a record sleeve, with what can be done with it below."""

# A part of an `html_template`. Its value has `src`, the address of the picture, and `address`, the cover's query;
# scripts change them with `putInSleeve` (page.js). Whatever is sent from inside of `.stand` is this cover (post.py).
SLEEVE = """
<figure class="sleeve"><img src="{{value.src}}" alt="" decoding="sync"></figure>
<p class="details"></p>
<p class="actions">
  <button type="button" class="keep" data-send="keep">${word('keep')}</button>
  <a class="download" href="{{value.src}}" download>${word('download')}</a>
  <a class="link" target="_top">${word('link')}</a>
</p>
<p class="actions send"><span>${word('send-to')}</span>
  <button type="button" data-send="breed">${word('send-breed')}</button>
  <button type="button" data-send="walk">${word('send-walk')}</button>
  <button type="button" data-send="finish">${word('send-finish')}</button>
</p>
"""
