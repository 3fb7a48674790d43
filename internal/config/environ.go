package config

// Environ has every setting that is not empty as NAME=value, secrets included,
// for the environment of another server that is to have the same ones.
func (c Config) Environ() []string {
	var environ []string
	for _, s := range settingsOf(&c) {
		value := s.show()
		if secret, ok := s.field.Interface().(SecretURL); ok {
			value = secret.Reveal()
		}
		if value != "" {
			environ = append(environ, s.env+"="+value)
		}
	}
	return environ
}
