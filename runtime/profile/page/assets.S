// runtime/profile/page/assets.S - the parts of the profile's page as bytes of the program.
  .section .rodata
  .globl ringshift_page_html, ringshift_page_css, ringshift_page_script, ringshift_page_end
ringshift_page_html:
  .incbin "page.html"
ringshift_page_css:
  .incbin "page.css"
ringshift_page_script:
  .incbin "page.js"
  .incbin "flame.js"
  .incbin "blocks.js"
  .incbin "time.js"
ringshift_page_end:
  .section .note.GNU-stack, "", @progbits
