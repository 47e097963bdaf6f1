// Shows the API document of this server. Everything comes from here; nothing is sent anywhere else.
window.ui = SwaggerUIBundle({
	url: "/api/schema/",
	dom_id: "#api",
	deepLinking: true,
	filter: true,
	docExpansion: "list",
	defaultModelsExpandDepth: 0,
	operationsSorter: "alpha",
	validatorUrl: null,
	presets: [SwaggerUIBundle.presets.apis],
	layout: "BaseLayout",
});
