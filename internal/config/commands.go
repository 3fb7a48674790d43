package config

// Command is the command to run. Name is the command with its subcommand ("serve",
// "sessions end"); the field of that name in Commands has its flags.
type Command struct {
	Name string
	Commands
}

// Commands lists every command and its own flags; each also accepts all settings. To
// add a command, add a field here.
type Commands struct {
	Serve        Serve        `cmd:"" default:"withargs" help:"Run the web server (default)."`
	Migrate      struct{}     `cmd:"" help:"Apply database migrations."`
	Users        Users        `cmd:"" help:"Manage accounts: list, show, add, disable, enable, or create a reset link."`
	Sessions     Sessions     `cmd:"" help:"List and revoke sessions."`
	RestartCheck RestartCheck `cmd:"" help:"Test which session stores survive a restart, and print a table."`
	Healthcheck  struct{}     `cmd:"" help:"Check whether the server with these settings is running."`
	Version      struct{}     `cmd:"" help:"Print the version."`
}

// Serve holds the flags of the command serve.
type Serve struct {
	StopWithStdin bool `hidden:"" help:"Shut down gracefully when standard input closes, so that a parent process does not leave this one running."`
	Uncounted     bool `hidden:"" help:"Do not record a server start; use the latest one. For a second server started for comparison."`
	LabSessions   int  `hidden:"" default:"2000" help:"Number of sessions that the check on /lab creates in each store. Use fewer in tests of something else."`
}

// RestartCheck holds the flags of the command restart-check.
type RestartCheck struct {
	Sessions int  `default:"10000" placeholder:"NUMBER" help:"Number of sessions to create for the memory measurement (default 10000)."`
	JSON     bool `name:"json" xor:"form" help:"Print the report as JSON."`
	Markdown bool `xor:"form" help:"Print the table in Markdown."`
}

// Users holds the commands about people.
type Users struct {
	List struct{} `cmd:"" help:"List all accounts."`
	Show ByEmail  `cmd:"" help:"Show an account."`
	Add  struct {
		ByEmail
		Name string `required:"" help:"The person's name."`
	} `cmd:"" help:"Add an account. Reads the password from standard input, as one line."`
	Disable   ByEmail `cmd:"" help:"Disable an account and revoke all its sessions."`
	Enable    ByEmail `cmd:"" help:"Enable a disabled account."`
	ResetLink ByEmail `cmd:"" name:"reset-link" help:"Print a password reset link."`
}

// Sessions holds the commands about sessions.
type Sessions struct {
	List ByEmail `cmd:"" help:"List a person's active sessions."`
	End  struct {
		ByEmail
		ID string `required:"" help:"The session's ID, as shown by sessions list."`
	} `cmd:"" help:"Revoke one session."`
	EndAll struct {
		Email     string `xor:"who" required:"" help:"The account's email address."`
		Everybody bool   `xor:"who" required:"" help:"Revoke the sessions of all accounts."`
	} `cmd:"" help:"Revoke all sessions of one person (--email) or of everyone (--everybody)."`
	Reconcile struct{} `cmd:"" help:"List sessions again that the database has lost, and revoke those of lost or disabled accounts."`
}

// ByEmail identifies a person.
type ByEmail struct {
	Email string `required:"" help:"The account's email address."`
}
