"""The page: what a person sees of heliostat in a browser.

Static files without a build step: `index.html`, `css/`, and ES modules in `js/` (start at
`js/app.js`; `docs/page.md` is the map). The only Python is `serving.py`, which hands them out. They
talk to nobody but the HTTP interface that served them.
"""
