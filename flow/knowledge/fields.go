package knowledge

// Names of fields that every passage may have; those of a resource are beside
// them.
const (
	fieldURL = "url"
)
