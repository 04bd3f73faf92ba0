from codesession_api.cli import main

raise SystemExit(main())
