from codesession.cli import main

raise SystemExit(main())
